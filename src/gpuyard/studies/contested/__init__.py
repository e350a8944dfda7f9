"""Teams contend for one fleet, under Kueue's policy and under ours."""
