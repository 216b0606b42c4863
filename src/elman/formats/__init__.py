"""Files: the safetensors layout, atomic writes, the model file."""
