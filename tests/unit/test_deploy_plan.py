"""What a plan of a deploy says of what changes."""

from ops.deploy.plan import Found, compare
from ops.deploy.spec import Deployment


def deployment(image: str) -> Deployment:
    variables = {"image": image, "commit": "c0ffee"}
    return Deployment("greet", "it", {"work_pool_name": "kubernetes", "job_variables": variables})


def test_a_change_of_image_alone_is_told_with_both_images() -> None:
    found = Found(deployment("flows:1"), "1", own=True, ids={})

    plan = compare([deployment("flows:2")], [found], "kubernetes")

    assert plan.lines() == ["~ greet/it: changed", "    image: flows:1 -> flows:2"]
