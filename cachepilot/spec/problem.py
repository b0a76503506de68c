"""One thing that is wrong with a file, said so that its author can find and mend it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake at one place.

    Attributes:
        file: Path as the author knows it.
        line: Counted from 1; 0 when the whole file is meant.
        column: Counted from 1; 0 when the whole line is meant.
        where: Field path such as ``spec.memory.max``, or empty.
        message: What is wrong, what was got and what was expected.
        hint: What to do about it, such as ``did you mean "memory"?``, or empty.
    """

    file: str
    line: int = 0
    column: int = 0
    where: str = ""
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = ":".join([self.file, *(str(n) for n in (self.line, self.column) if n)])
        where = f" {self.where}:" if self.where else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}:{where} {self.message}{hint}"
