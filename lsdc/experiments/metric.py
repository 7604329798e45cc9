"""The metric of a challenge, in words, and which way is better."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A competition's metric.

    Attributes:
        name: what it is called.
        short: the same in headings.
        higher_is_better: whether the best value is the highest.
        prior: what the same of a prediction without a model is called.
    """

    name: str = "weighted log loss"
    short: str = "log loss"
    higher_is_better: bool = False
    prior: str = "weighted prior"

    @property
    def title(self) -> str:
        """Return its name and which way is better, as the title of a table.

        >>> Metric().title
        'Weighted log loss, lower is better'
        """
        return f"{self.name[:1].upper()}{self.name[1:]}, {self.direction} is better"

    @property
    def direction(self) -> str:
        """Return "higher" or "lower", whichever is better."""
        return "higher" if self.higher_is_better else "lower"

    def cost(self, score: float) -> float:
        """Return a number that is the smaller, the better the score."""
        return -score if self.higher_is_better else score
