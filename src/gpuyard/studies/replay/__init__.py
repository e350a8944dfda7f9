"""A trace under one policy or several: `runs` replays it, `page` makes a report of that."""
