"""Published weights files to safetensors; the only place that opens a pickle."""
