"""Launches command tasks through mesoshttp, lets one run until it kills it, and
waits until each has ended.

usage: mesoshttp_scheduler.py <master URL> <tasks>
"""

import getpass
import logging
import sys
import threading

from mesoshttp.client import MesosClient

# This client sees an event only when the next one begins: a heartbeat, at worst.
LIMIT_SECONDS = 120
CPUS, MEM = 0.1, 16


class Scheduler:
    def __init__(self, master, total):
        self.total = total
        self.waiting = ["long"] + [f"task-{number:02}" for number in range(total)]
        self.states = {}
        self.failures = []
        self.done = threading.Event()
        self.driver = None
        self.client = MesosClient(
            mesos_urls=[master], frameworkName="mesoshttp-test", frameworkUser=getpass.getuser(), max_reconnect=1
        )
        self.client.add_capability("PARTITION_AWARE")
        self.client.on(MesosClient.SUBSCRIBED, self.subscribed)
        self.client.on(MesosClient.OFFERS, self.offers)
        self.client.on(MesosClient.UPDATE, self.update)
        self.client.on(MesosClient.ERROR, self.error)

    def subscribed(self, driver):
        print("subscribed as", self.client.frameworkId)
        self.driver = driver

    def offers(self, offers):
        for offer in offers:
            amounts = {r["name"]: r["scalar"]["value"]
                       for r in offer.get_offer()["resources"] if r["type"] == "SCALAR"}
            room = min(int(amounts.get("cpus", 0) / CPUS), int(amounts.get("mem", 0) / MEM))
            batch, self.waiting = self.waiting[:room], self.waiting[room:]
            if batch:
                tasks = [self.task(name, offer.get_offer()["agent_id"]) for name in batch]
                offer.accept(tasks, {"filters": {"refuse_seconds": 1}})
            else:
                offer.decline({"filters": {"refuse_seconds": 1}})

    @staticmethod
    def task(name, agent_id):
        return {
            "name": name,
            "task_id": {"value": name},
            "agent_id": agent_id,
            "command": {"value": "exec sleep 1000" if name == "long" else "true"},
            "resources": [
                {"name": "cpus", "type": "SCALAR", "scalar": {"value": CPUS}},
                {"name": "mem", "type": "SCALAR", "scalar": {"value": MEM}},
            ],
        }

    def update(self, update):
        status = update["status"]
        task, state = status["task_id"]["value"], status["state"]
        self.states[task] = state
        if task == "long" and state == "TASK_RUNNING":
            self.driver.kill(status["agent_id"]["value"], task)
            self.driver.reconcile([{"task_id": {"value": "unheard-of"}}])
        if state in ("TASK_FAILED", "TASK_ERROR", "TASK_LOST", "TASK_DROPPED"):
            self.failures.append(update)
        ended = [state for state in self.states.values() if state in ("TASK_FINISHED", "TASK_KILLED")]
        if self.failures or (len(ended) == self.total + 1 and "unheard-of" in self.states):
            self.done.set()

    def error(self, message):
        self.failures.append(message)
        self.done.set()


def main():
    master, total = sys.argv[1], int(sys.argv[2])
    logging.basicConfig(level=logging.INFO)
    scheduler = Scheduler(master, total)
    thread = threading.Thread(target=scheduler.client.register, daemon=True)
    thread.start()
    done = scheduler.done.wait(LIMIT_SECONDS)
    scheduler.client.stop = True
    if scheduler.driver:
        scheduler.driver.tearDown()
    thread.join(30)
    print(scheduler.states)
    assert not scheduler.failures, scheduler.failures
    assert done, f"still waiting: {scheduler.waiting}"
    assert scheduler.states.pop("long") == "TASK_KILLED"
    assert scheduler.states.pop("unheard-of") == "TASK_UNKNOWN"
    assert set(scheduler.states.values()) == {"TASK_FINISHED"}, scheduler.states
    assert not thread.is_alive(), "the stream must end with the framework"
    print("ok")


if __name__ == "__main__":
    main()
