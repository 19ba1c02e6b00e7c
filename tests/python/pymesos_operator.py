"""Reads and changes everything that pymesos' operator drivers know, while one of
them watches the events.

usage: pymesos_operator.py <master host:port> <agent host:port>
"""

import getpass
import logging
import sys
import threading

from pymesos import (MesosOperatorAgentDriver, MesosOperatorMasterDriver, MesosSchedulerDriver,
                     OperatorMaster, Scheduler)

LIMIT_SECONDS = 60
SECOND = 1_000_000_000


class Watcher(OperatorMaster):
    def __init__(self):
        self.seen = []
        self.changed = threading.Condition()

    def note(self, kind, what):
        with self.changed:
            self.seen.append((kind, what))
            self.changed.notify_all()

    def taskAdded(self, task):
        self.note("task added", task["task_id"]["value"])

    def taskUpdated(self, update):
        self.note("task updated", update["state"])

    def frameworkAdded(self, framework):
        self.note("framework added", framework["framework_info"]["name"])

    def frameworkUpdated(self, framework):
        self.note("framework updated", framework["framework_info"]["name"])

    def frameworkRemoved(self, framework):
        self.note("framework removed", framework["name"])

    def wait(self, *event):
        with self.changed:
            assert self.changed.wait_for(lambda: event in self.seen, LIMIT_SECONDS), (event, self.seen)


class OneTask(Scheduler):
    def __init__(self):
        self.launched = False

    def resourceOffers(self, driver, offers):
        for offer in offers:
            if self.launched:
                driver.declineOffer(offer["id"])
                continue
            self.launched = True
            driver.launchTasks(offer["id"], [{
                "name": "one",
                "task_id": {"value": "one"},
                "agent_id": offer["agent_id"],
                "command": {"value": "true"},
                "resources": [
                    {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}},
                    {"name": "mem", "type": "SCALAR", "scalar": {"value": 16}},
                ],
            }])


def read(operator):
    assert operator.getHealth()["get_health"]["healthy"] is True
    assert operator.getVersion()["get_version"]["version_info"]["version"]
    assert operator.getFlags()["get_flags"]["flags"]
    assert operator.getMetrics(SECOND)["get_metrics"]["metrics"]


def maintain(operator):
    machine = {"hostname": "far.example.com", "ip": "192.0.2.7"}
    window = {"machine_ids": [machine],
              "unavailability": {"start": {"nanoseconds": SECOND}, "duration": {"nanoseconds": SECOND}}}
    operator.updateMaintenanceSchedule([window])
    assert operator.getMaintenanceSchedule()["get_maintenance_schedule"]["schedule"]["windows"] == [window]
    status = operator.getMaintenanceStatus()["get_maintenance_status"]["status"]
    assert status["draining_machines"][0]["id"] == machine, status
    operator.startMaintenance([machine])
    status = operator.getMaintenanceStatus()["get_maintenance_status"]["status"]
    assert status["down_machines"] == [machine], status
    operator.stopMaintenance([machine])
    assert not operator.getMaintenanceSchedule()["get_maintenance_schedule"]["schedule"].get("windows")


def share(operator):
    weights = [{"role": "eng", "weight": 2.5}]
    operator.updateWeights(weights)
    assert operator.getWeights()["get_weights"]["weight_infos"] == weights
    guarantee = [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.0}}]
    operator.setQuota({"role": "eng", "guarantee": guarantee})
    quota = operator.getQuota()["get_quota"]["status"]
    assert quota["infos"][0]["guarantee"][0]["scalar"]["value"] == 1.0, quota
    roles = {role["name"]: role for role in operator.getRoles()["get_roles"]["roles"]}
    assert roles["eng"]["weight"] == 2.5, roles
    operator.removeQuota("eng")
    assert not operator.getQuota()["get_quota"]["status"].get("infos")


def reserve(operator):
    agent = operator.getAgents()["get_agents"]["agents"][0]["agent_info"]["id"]["value"]
    reservation = [{"type": "DYNAMIC", "role": "eng"}]
    disk = {"name": "disk", "type": "SCALAR", "scalar": {"value": 64.0}, "reservations": reservation}
    volume = dict(disk, disk={"persistence": {"id": "data"},
                              "volume": {"mode": "RW", "container_path": "data"}})

    def reserved():
        state = operator.getAgents()["get_agents"]["agents"][0]
        return [it for it in state["total_resources"] if it.get("reservations")]

    operator.reserveResources(agent, [disk])
    assert [it["reservations"][0]["role"] for it in reserved()] == ["eng"]
    operator.createVolumes(agent, [volume])
    assert reserved()[0]["disk"]["persistence"]["id"] == "data", reserved()
    operator.destroyVolumes(agent, [volume])
    operator.unreserveResources(agent, [disk])
    assert reserved() == []


def main():
    master, agent = sys.argv[1], sys.argv[2]
    logging.basicConfig(level=logging.INFO)
    watcher = Watcher()
    operator = MesosOperatorMasterDriver(master, watcher)
    read(operator)
    assert operator.getMaster()["get_master"]["master_info"]["id"]
    assert operator.getLoggingLevel()["get_logging_level"]["level"] >= 0
    operator.setLoggingLevel(1, SECOND)
    files = operator.listFiles("/master")["list_files"]["file_infos"]
    assert "/master/log" in [it["path"] for it in files], files
    assert operator.readFile("/master/log", 64, 0)["read_file"]["size"] > 0
    maintain(operator)
    share(operator)
    reserve(operator)
    operator.start()

    framework = {"user": getpass.getuser(), "name": "watched", "failover_timeout": 0}
    scheduler = MesosSchedulerDriver(OneTask(), framework, master)
    scheduler.start()
    watcher.wait("framework added", "watched")
    watcher.wait("task added", "one")
    for state in ("TASK_RUNNING", "TASK_FINISHED"):
        watcher.wait("task updated", state)
    scheduler.stop()
    scheduler.join()
    watcher.wait("framework removed", "watched")

    state = operator.getState()["get_state"]
    assert [it["name"] for it in state["get_tasks"]["completed_tasks"]] == ["one"], state["get_tasks"]
    assert operator.getTasks()["get_tasks"]["completed_tasks"]
    completed = operator.getFrameworks()["get_frameworks"]["completed_frameworks"]
    assert [it["framework_info"]["name"] for it in completed] == ["watched"]
    operator.getExecutors()
    operator.stop()

    node = MesosOperatorAgentDriver(agent)
    read(node)
    node.getState()
    node.getTasks()
    node.getFrameworks()
    node.getExecutors()
    node.getContainers()
    print("ok")


if __name__ == "__main__":
    main()
