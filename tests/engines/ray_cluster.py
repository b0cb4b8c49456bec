"""Run by the Python that has Ray: a cluster of several nodes on this machine, until its standard input is closed.

python ray_cluster.py NODES CPUS. Each line of standard input ends one node: its number, from 1; node 0 is the head.
"""

import sys

from ray.cluster_utils import Cluster

nodes, cpus = int(sys.argv[1]), int(sys.argv[2])
settings = {"num_cpus": cpus, "num_gpus": 0, "object_store_memory": 100 << 20}
cluster = Cluster(initialize_head=True, head_node_args=settings | {"include_dashboard": False})
others = [cluster.add_node(**settings) for _ in range(nodes - 1)]
print("ready", cluster.address, flush=True)
for line in sys.stdin:
    cluster.remove_node(others[int(line) - 1], allow_graceful=False)
    print("gone", line.strip(), flush=True)
cluster.shutdown()
