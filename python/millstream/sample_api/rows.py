"""The row of `created_users` that a person must become, computed in Python for checkers.

It shares no code with what it checks.
"""

from __future__ import annotations

from typing import Any

COLUMNS = (
    "id", "first_name", "last_name", "gender", "address", "post_code",
    "email", "username", "dob", "registered_date", "phone", "picture",
)  # fmt: skip


def created_users_row(person: dict[str, Any]) -> dict[str, str]:
    """The twelve columns of `person` as text, in the order of `COLUMNS`."""
    name, location, login = person["name"], person["location"], person["login"]
    street = location["street"]
    values = (
        login["uuid"],
        name["first"],
        name["last"],
        person["gender"],
        f"{street['number']} {street['name']}, {location['city']}, {location['state']}, {location['country']}",
        str(location["postcode"]),
        person["email"],
        login["username"],
        person["dob"]["date"],
        person["registered"]["date"],
        person["phone"],
        person["picture"]["medium"],
    )
    return dict(zip(COLUMNS, values, strict=True))
