"""The rules, by topic: one module per rule or small family, each exporting ``RULES``.

A module opens with why its rule exists. CONTRIBUTING ("Add a rule") says what a rule consists of;
`gpuyard.lint.catalogue` lists the modules.
"""
