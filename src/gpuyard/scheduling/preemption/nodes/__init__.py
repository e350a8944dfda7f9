"""Who has to go on nodes: kube-scheduler's rules, for pods and for pod groups.

`per_node` tries every node and `pick` chooses among them; `pod_groups` looks at the whole cluster.
"""
