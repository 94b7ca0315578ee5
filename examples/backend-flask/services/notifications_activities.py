"""What happened to a user's activities since the last visit."""

from datetime import UTC, datetime, timedelta

from aws_xray_sdk.core import xray_recorder


def run():
    # An annotation on the segment itself counts for the whole request.
    xray_recorder.current_segment().put_annotation("page", "notifications")

    # Subsegments nest: `load` and `render` become children of `notifications_activities`.
    with xray_recorder.in_subsegment("notifications_activities"):
        with xray_recorder.in_subsegment("load") as subsegment:
            notifications = load()
            subsegment.put_annotation("unread", sum(not item["read"] for item in notifications))
            subsegment.put_metadata("handles", [item["handle"] for item in notifications], "notifications")
        with xray_recorder.in_subsegment("render"):
            return [f'{item["handle"]} {item["did"]} your activity' for item in notifications]


def load():
    now = datetime.now(UTC)
    return [
        {"handle": "coco", "did": "liked", "read": False, "at": (now - timedelta(hours=1)).isoformat()},
        {"handle": "Zoë", "did": "answered", "read": False, "at": (now - timedelta(hours=3)).isoformat()},
        {"handle": "Worf", "did": "disliked", "read": True, "at": (now - timedelta(days=1)).isoformat()},
    ]
