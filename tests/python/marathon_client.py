"""Creates, lists, scales, changes and deletes an app through the marathon client.

usage: marathon_client.py <base URL of the Marathon API>
"""

import collections
import collections.abc
import sys
import time

# The client was written for Python before 3.10, which had this name.
collections.Iterable = collections.abc.Iterable

from marathon import MarathonClient, MarathonHttpError, NotFoundError
from marathon.models import MarathonApp, MarathonHealthCheck

LIMIT_SECONDS = 60


def eventually(what, probe):
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        last = probe()
        if last is True:
            return
        assert time.monotonic() < deadline, f"not in time: {what}; last state: {last}"
        time.sleep(0.1)


def settled(client, app_id, count):
    def probe():
        app = client.get_app(app_id, embed_tasks=True, embed_counts=True, embed_deployments=True)
        good = app.tasks_running == count and app.tasks_healthy == count and not app.deployments
        return good and len(app.tasks) == count or repr((app.tasks_running, app.tasks_healthy, app.deployments))

    eventually(f"{app_id} has {count} healthy tasks", probe)


def main():
    client = MarathonClient(sys.argv[1], timeout=10)
    assert "pong" in str(client.ping())
    assert client.get_info().name == "marathon"
    assert client.get_leader()

    created = client.create_app("client/web", MarathonApp(
        cmd="exec python3 -m http.server $PORT0",
        cpus=0.1,
        mem=32,
        instances=2,
        labels={"made-by": "client"},
        health_checks=[MarathonHealthCheck(
            path="/", protocol="HTTP", port_index=0, grace_period_seconds=30,
            interval_seconds=1, timeout_seconds=5, max_consecutive_failures=3)],
    ))
    assert created.id == "/client/web" and created.instances == 2
    settled(client, "client/web", 2)

    listed = client.list_apps(label="made-by==client", embed_counts=True)
    assert [app.id for app in listed] == ["/client/web"], listed
    assert listed[0].labels == {"made-by": "client"}
    tasks = client.list_tasks("client/web")
    assert len(tasks) == 2 and all(len(task.ports) == 1 for task in tasks), tasks
    assert len(client.list_endpoints()) == 2

    client.scale_app("client/web", instances=3)
    settled(client, "client/web", 3)
    client.scale_app("client/web", delta=-2, force=True)
    settled(client, "client/web", 1)

    client.update_app("client/web", MarathonApp(env={"COLOUR": "blue"}))
    settled(client, "client/web", 1)
    assert client.get_app("client/web").env["COLOUR"].value == "blue" \
        if hasattr(client.get_app("client/web").env["COLOUR"], "value") \
        else client.get_app("client/web").env["COLOUR"] == "blue"
    versions = client.list_versions("client/web")
    assert len(versions) >= 2, versions
    old = client.get_version("client/web", versions[-1])
    assert old.id == "/client/web"

    before = client.list_tasks("client/web")[0].id
    client.restart_app("client/web")
    settled(client, "client/web", 1)
    eventually("the instance is another one", lambda: client.list_tasks("client/web")[0].id != before)

    before = client.list_tasks("client/web")[0].id
    client.kill_task("client/web", before)
    eventually("a killed task is replaced", lambda: before not in [t.id for t in client.list_tasks("client/web")])
    settled(client, "client/web", 1)
    assert isinstance(client.list_queue(), list)
    assert client.list_deployments() == []

    client.delete_app("client/web")
    eventually("the app is gone", lambda: "/client/web" not in [app.id for app in client.list_apps()])
    try:
        client.get_app("client/web")
        raise AssertionError("a deleted app must not be found")
    except NotFoundError:
        pass
    try:
        client.create_app("bad", MarathonApp(cmd="x", instances=-1))
        raise AssertionError("a negative number of instances must be refused")
    except MarathonHttpError as error:
        assert error.status_code == 422, error
    print("ok")


if __name__ == "__main__":
    main()
