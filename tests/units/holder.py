"""Holds a listening socket and runs the service on it, as systemd does with a socket unit.

holder.py PORT PROGRAM ARGUMENT...; SIGUSR1 restarts the program, SIGTERM ends both.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys

port, command = int(sys.argv[1]), sys.argv[2:]
listener = socket.create_server(("127.0.0.1", port), backlog=1024)
# The first descriptor that is handed over is 3.
if listener.fileno() != 3:
    os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
# The program must find its own id in LISTEN_PID, which only it knows: the shell does not change it.
launch = ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh", *command]


waited_for = {signal.SIGUSR1, signal.SIGTERM}


def start():
    def prepare():
        # A child is born with the signals blocked that are blocked here,
        signal.pthread_sigmask(signal.SIG_UNBLOCK, waited_for)
        # and must not outlive a holder that a test has killed (PR_SET_PDEATHSIG).
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)

    return subprocess.Popen(launch, pass_fds=(3,), preexec_fn=prepare)


signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
child = start()
while signal.sigwait(waited_for) == signal.SIGUSR1:
    child.terminate()
    child.wait()
    child = start()
child.terminate()
sys.exit(child.wait())
