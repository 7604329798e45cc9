"""RSNA 2019 Intracranial Hemorrhage Detection: five subtypes and any, on slices of head CT."""
