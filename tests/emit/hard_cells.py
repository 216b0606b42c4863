"""Cells that ask for what the built-in ones do not."""

from elman import cell, exp, layer_norm, maximum, minimum, relu, sigmoid, softplus, sqrt, tanh, where


@cell(states="h:P c")
def unlike_norms(x, h, c, W, U, g):
    """A layer norm over vectors of unlike sizes, and of one vector twice."""
    a, b = layer_norm(W.a @ x + U.a @ h, U.b @ h, eps=0.1)
    q, _ = layer_norm(c, c, eps=0.1)
    h = tanh(g.b * b)
    c = 0.5 * q + tanh(g.a * a)
    return h, c


@cell(states="h")
def three_stages(x, h, W, U, b):
    """Products of what products made."""
    r = sigmoid(W.r @ x + U.r @ h + b.r)
    q = tanh(U.q @ (r * h) + W.q @ x)
    h = tanh(U.h @ (q - r) + W.h @ x + U.r @ q + b.h)
    return h


@cell(states="h c")
def transposes(x, h, c, W, U):
    """A transpose beside the plain matrix, on one source and on two."""
    c = tanh(W @ x + U.a @ h - U.a.T @ h + U.b @ h)
    h = U.b.T @ c + U.a.T @ h - W @ x
    return h, c


@cell(states="h c")
def same_matrix(x, h, c, W, U):
    """One matrix in products with different sources, and one product used several times."""
    p = U @ h
    c = tanh(p + U @ c + W @ x)
    h = p * (U @ c) - p
    return h, c


@cell(states="h c e")
def unchanged(x, h, c, e, W):
    """A state that never changes, one that becomes another, and one that nothing reads."""
    return tanh(W @ x + c), c, h


@cell(states="h c", output="y")
def forgotten(x, h, c, W, U, V):
    """States without a gradient: c is only compared, and h is not read at all."""
    y = where(c > 0, V @ x, 0.5)
    return tanh(W @ x), U @ x, y


@cell(inputs="x e", states="h")
def input_twice(x, e, h, W, U, V):
    """An input that is used element-wise and in products."""
    return tanh(W @ (x * e + x) + U @ h) * (V @ x)


@cell(inputs="x e:H", states="h", output="x_")
def shown_input(x, e, h, W):
    """The output is an input as it is; another one is part of a sum with products."""
    return tanh(W @ x + e - h), x


@cell(inputs="x dt:1", states="h s:1 r:1", output="y")
def scalars(x, dt, h, s, r, W, U, a, b):
    """Scalar inputs, states and parameters, alone and spread over units, and as sources of products."""
    h = tanh(W @ x + U.s @ s + U.t @ (dt * s) + b) * s + dt - r
    y = s - dt * r
    return h, s * a.s + dt * sigmoid(a.t * s), tanh(r + a.s), y


@cell(states="h s:1 r:1 q:1")
def scalar_bias(x, h, s, r, q, W, U, a, b):
    """Scalar parameters where a chain's bias would stand; a sum is the gradient of one, and of a state and another.

    What is only compared is made scalar by it, and has no gradient from it.
    """
    h = tanh(a + W @ x + U @ h) + (s + b)
    return h, q, where(a > 0, r, q), where(b > 0, q, r)


@cell(inputs="x dt:1", states="h s:1", output="y")
def halting(x, dt, h, s, W, U, p, b, q):
    """A product that makes a scalar, from states and inputs."""
    s = sigmoid(p.h @ h + p.x @ x + s * q)
    h = tanh(W @ x + U.h @ h + U.s @ s + b) * s
    return h, s, s + dt


@cell(states="h s:1")
def squeezed(x, h, s, W, U):
    """A transposed product that makes a scalar, of what its matrix has made."""
    z = tanh(W @ x + U @ s + h)
    return z * s, U.T @ z


@cell(states="h", output="y:H")
def still(x, h, W, U, b, g):
    """What parameters alone make: functions, norms, products, a result."""
    gain = exp(g.a) / (1 + exp(g.a)) * layer_norm(U.s @ tanh(b.s) + b.t, eps=0.1)
    h = tanh(W @ x + U.h @ h + softplus(b.s)) * gain
    y = tanh(b.y + U.y @ sqrt(1 + b.s * b.s))
    return h, y


@cell(states="h c")
def same_twice(x, h, c, W, U, b):
    """Terms that stand twice in a sum, and two states that become one value."""
    q = W @ x + b + b + U @ h + c + c + b - b
    h = tanh(q + q)
    return h, h


@cell(states="h c")
def ties(x, h, c, W):
    """Operands that are equal, and arguments at the edge of relu and abs."""
    z = relu(h) - relu(h)
    m = maximum(c, c + z) + 2 * minimum(h + z, h) - abs(z) + relu(z)
    return tanh(W @ x) + m, where(z >= 0, m, c)


@cell(states="h", output="y:H")
def named_output(x, h, W, V):
    return tanh(W @ x + h), V @ h


@cell(states="output c")
def output(x, output, c, W, U):
    """A state with the name that gradients of outputs go by."""
    output = tanh(W @ x + U @ output + c)
    return output, output * c


@cell(states="h:P c")
def negative(x, h, c, W, U, b):
    """Products with a minus, first and alone, and a sum that begins with one."""
    a = -(W.a @ x) - U.a @ h - b.a
    q = c - W.q @ x
    h = -(U.h @ c)
    return h, a * q


@cell(inputs="x:H", states="h")
def no_product(x, h, a, b):
    """Nothing but element-wise operations."""
    return sigmoid(a) * h + (1 - sigmoid(a)) * x + b


@cell(inputs="x dt:1", states="h s:1", output="y")
def normed_scalars(x, dt, h, s, W, U):
    """Scalars in a layer norm, alone and beside vectors, and an output that is a scalar input as it is."""
    a, t = layer_norm(W @ x, dt, eps=0.1)
    h = tanh(a + t * h) + layer_norm(s, eps=0.1) + where(dt > 0, U @ h, s)
    return h, s + t, dt


@cell(inputs="x:H e", states="h")
def unread_input(x, e, h, U):
    """An input that nothing reads, and one that is read by a comparison alone."""
    return tanh(U @ h) * where(x > 0, 1.0, 0.5)


@cell(states="h c")
def sums_of_sums(x, h, c, W, U, b):
    """Sums inside sums, some of which are used again."""
    a = W.a @ x + b.a
    e = a + U.e @ h
    q = (e - (c - U.q @ h)) + (a - (W.q @ x - b.q))
    h = tanh(q) + e
    return h, a - (q + e)


CELLS = (
    unlike_norms, three_stages, transposes, same_matrix, unchanged, forgotten, input_twice, shown_input, scalars,
    scalar_bias, halting, squeezed, still, same_twice, ties, named_output, output, negative, no_product,
    normed_scalars, unread_input, sums_of_sums,
)  # fmt: skip
