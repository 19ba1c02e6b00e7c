"""Launches command tasks through pymesos and waits until each has finished.

usage: pymesos_scheduler.py <master host:port> <tasks> <agents>
"""

import logging
import sys
import threading

from pymesos import MesosSchedulerDriver, Scheduler

LIMIT_SECONDS = 120
CPUS, MEM = 0.1, 16


class Hundred(Scheduler):
    def __init__(self, total):
        self.waiting = [f"task-{number:03}" for number in range(total)]
        self.running = set()
        self.finished = {}
        self.agents = set()
        self.failures = []
        self.done = threading.Event()
        self.total = total

    def registered(self, driver, framework_id, master_info):
        print("registered as", framework_id["value"])

    def resourceOffers(self, driver, offers):
        for offer in offers:
            # A quarter of all at a time, so that every agent gets some.
            room = self.room(offer)
            batch = self.waiting[: min(room, max(1, self.total // 4))] if self.waiting else []
            self.waiting = self.waiting[len(batch):]
            if not batch:
                driver.declineOffer(offer["id"], filters={"refuse_seconds": 1})
                continue
            tasks = [self.task(name, offer["agent_id"]) for name in batch]
            driver.launchTasks(offer["id"], tasks, filters={"refuse_seconds": 1})

    @staticmethod
    def room(offer):
        amounts = {r["name"]: r["scalar"]["value"] for r in offer["resources"] if r["type"] == "SCALAR"}
        return min(int(amounts.get("cpus", 0) / CPUS), int(amounts.get("mem", 0) / MEM))

    @staticmethod
    def task(name, agent_id):
        return {
            "name": name,
            "task_id": {"value": name},
            "agent_id": agent_id,
            "command": {"value": f'test "$NAME" = {name} && echo done', "shell": True,
                        "environment": {"variables": [{"name": "NAME", "value": name}]}},
            "resources": [
                {"name": "cpus", "type": "SCALAR", "scalar": {"value": CPUS}},
                {"name": "mem", "type": "SCALAR", "scalar": {"value": MEM}},
            ],
        }

    def statusUpdate(self, driver, update):
        task, state = update["task_id"]["value"], update["state"]
        if state == "TASK_RUNNING":
            self.running.add(task)
        elif state == "TASK_FINISHED":
            self.finished[task] = self.finished.get(task, 0) + 1
            self.agents.add(update["agent_id"]["value"])
        elif state != "TASK_STARTING":
            self.failures.append(update)
        if self.failures or len(self.finished) == self.total:
            self.done.set()

    def error(self, driver, message):
        self.failures.append(message)
        self.done.set()


def main():
    master, total, agents = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    logging.basicConfig(level=logging.INFO)
    scheduler = Hundred(total)
    framework = {"user": "root", "name": "pymesos-test", "failover_timeout": 0}
    driver = MesosSchedulerDriver(scheduler, framework, master)
    driver.start()
    done = scheduler.done.wait(LIMIT_SECONDS)
    driver.stop()
    driver.join()
    print(f"{len(scheduler.finished)} finished on {len(scheduler.agents)} agents")
    assert not scheduler.failures, scheduler.failures
    assert done, f"still waiting: {scheduler.waiting}, unfinished: {sorted(scheduler.running - set(scheduler.finished))}"
    assert len(scheduler.finished) == total
    assert len(scheduler.agents) == agents, scheduler.agents


if __name__ == "__main__":
    main()
