"""What a cell's author writes: a function of symbols, called once, becomes a graph or is refused with the cure."""
