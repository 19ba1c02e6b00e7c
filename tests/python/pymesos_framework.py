"""A framework with an executor of its own, through pymesos. It does what it is
told on standard input, a word a line, and says what happens on standard output.

usage: pymesos_framework.py <master host:port> <program of the executor>

    launch NAME WHAT   a task under the executor
    say TEXT           to the executor, which says it back
    kill NAME
    shutdown           the executor
    end                the framework
"""

import base64
import getpass
import sys
import threading
import time

from pymesos import MesosSchedulerDriver, Scheduler

# Messages are sent once and may be lost: until there is an answer it is asked again.
ASK_AGAIN_SECONDS = 0.5


class Framework(Scheduler):
    def __init__(self, program):
        self.program = program
        self.lock = threading.Lock()
        self.waiting = []
        self.agent = None
        self.unanswered = None

    def registered(self, driver, framework_id, master_info):
        say(f"registered {framework_id['value']}")

    def reregistered(self, driver, master_info):
        say("registered again")

    def resourceOffers(self, driver, offers):
        for offer in offers:
            with self.lock:
                batch, self.waiting = self.waiting, []
            tasks = [self.task(name, what, offer["agent_id"]) for name, what in batch]
            if tasks:
                self.agent = offer["agent_id"]
                driver.launchTasks(offer["id"], tasks, filters={"refuse_seconds": 0})
            else:
                driver.declineOffer(offer["id"], filters={"refuse_seconds": 0})

    def task(self, name, what, agent_id):
        return {
            "name": name, "task_id": {"value": name}, "agent_id": agent_id, "data": encode(what),
            "resources": resources(0.1, 16),
            "executor": {
                "type": "CUSTOM", "executor_id": {"value": "python"}, "name": "in Python",
                "command": {"value": self.program}, "resources": resources(0.1, 64),
                "shutdown_grace_period": {"nanoseconds": 2_000_000_000},
            },
        }

    def statusUpdate(self, driver, update):
        name, state = update["task_id"]["value"], update["state"]
        say(f"{name} {state} {update.get('reason', '')} {update.get('message', '')}")

    def frameworkMessage(self, driver, executor_id, agent_id, message):
        text = base64.b64decode(message).decode()
        with self.lock:
            known = self.unanswered is not None and text == self.unanswered.upper()
            self.unanswered = None if known else self.unanswered
        if known:
            say(f"answer {text}")

    def executorLost(self, driver, executor_id, agent_id, status):
        say(f"lost {executor_id['value']} {status}")

    def error(self, driver, message):
        say(f"error {message}")

    def obey(self, driver, line):
        order, *words = line.split()
        if order == "launch":
            with self.lock:
                self.waiting.append(words)
        elif order == "say":
            with self.lock:
                self.unanswered = words[0]
            threading.Thread(target=self.ask, args=(driver, words[0]), daemon=True).start()
        elif order == "tell":
            self.send(driver, " ".join(words))
        elif order == "kill":
            driver.killTask({"value": words[0]})
        elif order == "shutdown":
            driver._send({
                "type": "SHUTDOWN", "framework_id": {"value": driver.framework_id},
                "shutdown": {"executor_id": {"value": "python"}, "agent_id": self.agent},
            })

    def ask(self, driver, text):
        while True:
            with self.lock:
                if self.unanswered != text:
                    return
            try:
                self.send(driver, text)
            except Exception as problem:
                print("not sent:", problem, file=sys.stderr, flush=True)
            time.sleep(ASK_AGAIN_SECONDS)

    def send(self, driver, text):
        driver.sendFrameworkMessage({"value": "python"}, self.agent, encode(text))


def resources(cpus, mem):
    amounts = {"cpus": cpus, "mem": mem}
    return [{"name": name, "type": "SCALAR", "scalar": {"value": amount}} for name, amount in amounts.items()]


def encode(text):
    return base64.b64encode(text.encode()).decode()


def say(text):
    print(text.strip(), flush=True)


def main():
    master, program = sys.argv[1:]
    framework = {"user": getpass.getuser(), "name": "with-executor", "failover_timeout": 3600,
                 "checkpoint": True, "capabilities": [{"type": "PARTITION_AWARE"}]}
    scheduler = Framework(program)
    driver = MesosSchedulerDriver(scheduler, framework, master)
    driver.start()
    for line in sys.stdin:
        if line.strip() == "end":
            break
        scheduler.obey(driver, line)
    driver.stop()
    driver.join()


if __name__ == "__main__":
    main()
