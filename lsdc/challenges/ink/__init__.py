"""The ink challenge: ink on carbonised papyrus, found in the layers of a CT volume."""
