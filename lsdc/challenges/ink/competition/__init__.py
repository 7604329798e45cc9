"""The competition's folders, pictures and tables, and the coding of masks in its submission."""
