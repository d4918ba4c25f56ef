#!/usr/bin/env bash
# Lists the subjects by Confluent's API, which reads the registry's database.
set -eu
exec 3<>/dev/tcp/127.0.0.1/8080
printf 'GET /apis/ccompat/v7/subjects HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
read -r _ code _ <&3
[ "$code" = 200 ]
