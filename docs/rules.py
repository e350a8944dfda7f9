"""Write the reference of lint's rules from the rules themselves.

    python docs/rules.py

`tests/unit/test_lint_page.py` fails where the page is not what this writes.
"""

from pathlib import Path

from gpuyard.lint import catalogue
from gpuyard.lint.page import reference

PAGE = Path(__file__).parent / "reference" / "rules.md"


def main() -> None:
    """Write the page."""
    PAGE.write_text(reference(catalogue.rules()), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
