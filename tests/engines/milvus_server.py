"""Run by the Python that has the wheel `milvus`: a server in the foreground, until its standard input is closed.

python milvus_server.py FOLDER PORT
"""

import sys

from milvus import MilvusServer

server = MilvusServer()
server.set_base_dir(sys.argv[1])
server.config.set("proxy_port", int(sys.argv[2]))
server.start()
try:
    print("ready", server.listen_port, flush=True)
    sys.stdin.read()
finally:
    server.stop()
