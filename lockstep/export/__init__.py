"""Convert merged models to other formats; start reading at `gguf_conversion.write_gguf`."""
