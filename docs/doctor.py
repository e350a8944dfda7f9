"""Write the tables at the end of doctor's reference from the tables of the code.

    python docs/doctor.py

`tests/unit/test_doctor_page.py` fails where the page is not what this writes.
"""

from pathlib import Path

from gpuyard.platform.layers.page import tables

PAGE = Path(__file__).parent / "reference" / "doctor.md"
MARK = "<!-- From here on written by docs/doctor.py -->\n"


def main() -> None:
    """Write the page: what stands before the mark stays."""
    before, mark, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    PAGE.write_text(f"{before}{mark}\n{tables()}", encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
