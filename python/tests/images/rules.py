"""What holds of every running container, asked of the engine and not of the files."""

from __future__ import annotations

from typing import Any

# Those whose images are built here.
OURS = ("consumer", "airflow-apiserver", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer")


def broken(service: str, container: dict[str, Any]) -> list[str]:
    """What a container does not keep of the rules, one line each."""
    config, host = container["Config"], container["HostConfig"]
    rules = {
        "runs as root": config["User"].split(":")[0] in ("", "0", "root"),
        "has no health check": not (config.get("Healthcheck") or {}).get("Test"),
        "is not restarted": host["RestartPolicy"]["Name"] != "unless-stopped",
        "has no memory limit": not host["Memory"],
        "has no limit of processes": not host["PidsLimit"],
        "may gain privileges": "no-new-privileges:true" not in (host["SecurityOpt"] or []),
        "keeps capabilities": "ALL" not in (host["CapDrop"] or []),
        "logs without end": "max-size" not in (host["LogConfig"]["Config"] or {}),
        "publishes beyond this machine": any(
            binding["HostIp"] != "127.0.0.1"
            for bound in (host["PortBindings"] or {}).values()
            for binding in bound or []
        ),
        "writes to its own image": service in OURS and not host["ReadonlyRootfs"],
        "is of a moving tag": config["Image"].endswith(":latest") or ":" not in config["Image"],
    }
    secrets = [entry for entry in config["Env"] if "PASSWORD=" in entry or "SECRET=" in entry or "FERNET_KEY=" in entry]
    return [f"{service} {rule}" for rule, holds in rules.items() if holds] + [
        f"{service} has a secret in its environment: {entry.split('=')[0]}" for entry in secrets
    ]
