"""The demo: a generated week under what people really run, and under gpuyard.

`weeks` lives through them, `findings` puts them side by side, `page` with `plots` and `rows` makes
a report of that.
"""
