"""What the people look like, and that they never change."""

from __future__ import annotations

import hashlib
import json
import uuid

from hypothesis import given
from hypothesis import strategies as st

from millstream.sample_api import created_users_row, people
from millstream.sample_api.nations import BY_CODE, NATIONS
from millstream.sample_api.people import render

# The shape of randomuser.me 1.4, field by field, written down apart from the code.
SHAPE = {
    "gender": str,
    "name": {"title": str, "first": str, "last": str},
    "location": {
        "street": {"number": int, "name": str},
        "city": str,
        "state": str,
        "country": str,
        "postcode": (int, str),
        "coordinates": {"latitude": str, "longitude": str},
        "timezone": {"offset": str, "description": str},
    },
    "email": str,
    "login": {
        "uuid": str, "username": str, "password": str, "salt": str, "md5": str, "sha1": str, "sha256": str,
    },
    "dob": {"date": str, "age": int},
    "registered": {"date": str, "age": int},
    "phone": str,
    "cell": str,
    "id": {"name": str, "value": (str, type(None))},
    "picture": {"large": str, "medium": str, "thumbnail": str},
    "nat": str,
}  # fmt: skip


def assert_shape(value: object, shape: object, path: str = "") -> None:
    if isinstance(shape, dict):
        assert isinstance(value, dict), path
        assert list(value) == list(shape), path
        for key, inner in shape.items():
            assert_shape(value[key], inner, f"{path}.{key}")
    else:
        assert isinstance(value, shape), path  # type: ignore[arg-type]


def test_every_person_has_the_shape() -> None:
    for person in people("shape", 1, 1000):
        assert_shape(person, SHAPE)


def test_values_hold_together() -> None:
    for person in people("values", 1, 300):
        login = person["login"]
        salted = (login["password"] + login["salt"]).encode()
        assert login["md5"] == hashlib.md5(salted, usedforsecurity=False).hexdigest()
        assert login["sha256"] == hashlib.sha256(salted).hexdigest()
        assert str(uuid.UUID(login["uuid"])) == login["uuid"]
        nation = BY_CODE[person["nat"]]
        assert person["location"]["country"] == nation.country
        assert isinstance(person["location"]["postcode"], int) == nation.postcode_is_number
        assert 18 <= person["dob"]["age"] <= 81
        assert person["dob"]["date"] < "2006"


def test_postcodes_mix_integers_and_text_and_ids_may_be_null() -> None:
    page = people("mix", 1, 500)
    assert {type(person["location"]["postcode"]) for person in page} == {int, str}
    assert {type(person["id"]["value"]) for person in page} == {str, type(None)}
    assert {person["nat"] for person in page} == {nation.code for nation in NATIONS}


@given(st.text(max_size=20), st.integers(1, 50), st.integers(1, 20))
def test_a_page_is_a_pure_function(seed: str, page: int, results: int) -> None:
    assert people(seed, page, results) == people(seed, page, results)


@given(st.integers(1, 5), st.integers(1, 5))
def test_pages_of_any_size_cut_the_same_sequence(first: int, second: int) -> None:
    def cut(size: int) -> list[str]:
        pages = -(-20 // size)
        return [person["login"]["uuid"] for page in range(1, pages + 1) for person in people("cut", page, size)][:20]

    assert cut(first) == cut(second)


def test_seeds_and_positions_give_other_people() -> None:
    ids = [person["login"]["uuid"] for seed in ("a", "b") for page in (1, 2, 3) for person in people(seed, page, 500)]
    assert len(set(ids)) == len(ids)


def test_golden_person_never_changes() -> None:
    # A run that is repeated next year must fetch the same people.
    digest = hashlib.sha256(render("golden", 1, people("golden", 1, 3))).hexdigest()
    assert digest == "ab4789edee342f189ab8a929501ba87a9ba3a526ecedc21c22f9462f514c1f14"


def test_nationality_and_gender_narrow_the_choice() -> None:
    page = people("narrow", 1, 200, nat=("UA", "NO"), gender="female")
    assert {person["nat"] for person in page} == {"UA", "NO"}
    assert {person["gender"] for person in page} == {"female"}


def test_rendered_answer_is_utf8_json_with_info() -> None:
    answer = json.loads(render("s", 2, people("s", 2, 5, nat=("UA",))).decode("utf-8"))
    assert answer["info"] == {"seed": "s", "results": 5, "page": 2, "version": "1.4"}


def test_the_row_of_a_person() -> None:
    (person,) = people("row", 7, 1, nat=("NL",))
    location = person["location"]
    row = created_users_row(person)
    assert row["id"] == person["login"]["uuid"]
    assert row["address"] == ", ".join(
        [
            f"{location['street']['number']} {location['street']['name']}",
            location["city"],
            location["state"],
            "Netherlands",
        ]
    )
    assert row["dob"] == person["dob"]["date"]
    assert row["picture"].startswith("https://randomuser.me/api/portraits/med/")
    assert all(isinstance(value, str) and value for value in row.values())
