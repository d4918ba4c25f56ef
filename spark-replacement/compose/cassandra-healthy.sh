#!/usr/bin/env bash
# Asks for the options of the CQL protocol (version 4, opcode 5), which is answered by SUPPORTED (opcode 6) as soon as
# clients are served. cqlsh would load Python and a driver each time.
set -eu
exec 3<>/dev/tcp/127.0.0.1/9042
printf '\004\0\0\0\005\0\0\0\0' >&3
[ "$(head -c 5 <&3 | od -An -tx1 | tr -d ' \n')" = 8400000006 ]
