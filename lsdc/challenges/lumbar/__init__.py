"""RSNA 2024 Lumbar Spine Degenerative Classification."""
