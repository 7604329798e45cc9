"""Write a synthetic competition of head CTs whose answers are known."""
