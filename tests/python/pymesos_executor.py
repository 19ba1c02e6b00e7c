"""An executor through pymesos: tasks that finish at once, and tasks that go on
until they are killed or told to finish. What its framework says it says back.
"""

import base64
import os
import sys
import threading

from pymesos import Executor, MesosExecutorDriver


class Own(Executor):
    def __init__(self):
        self.lock = threading.Lock()
        self.tasks = {}

    def registered(self, driver, executor_info, framework_info, agent_info):
        note(f"registered {executor_info['executor_id']['value']} of {framework_info['name']}")

    def reregistered(self, driver, agent_info):
        note("registered again")

    def disconnected(self, driver):
        note("disconnected")

    def launchTask(self, driver, task):
        name = task["task_id"]["value"]
        data = base64.b64decode(task.get("data", "")).decode()
        note(f"launched {name} {data}")
        with self.lock:
            self.tasks[name] = task
        self.tell(driver, name, "TASK_RUNNING", f"process {os.getpid()}")
        if data == "finish":
            self.tell(driver, name, "TASK_FINISHED")

    def killTask(self, driver, task_id):
        name = task_id["value"]
        note(f"killed {name}")
        self.tell(driver, name, "TASK_KILLED", "as you wish")

    def frameworkMessage(self, driver, message):
        text = base64.b64decode(message).decode()
        note(f"heard {text}")
        if text.startswith("finish "):
            self.tell(driver, text.split()[1], "TASK_FINISHED")
        else:
            driver.sendFrameworkMessage(encode(text.upper()))

    def shutdown(self, driver):
        note("shut down")

    def error(self, driver, message):
        note(f"error {message}")

    def tell(self, driver, name, state, message=""):
        driver.sendStatusUpdate({"task_id": {"value": name}, "state": state, "message": message})


def encode(text):
    return base64.b64encode(text.encode()).decode()


def note(text):
    print(text, flush=True)


if __name__ == "__main__":
    note(f"checkpoint {os.environ['MESOS_CHECKPOINT']}")
    driver = MesosExecutorDriver(Own())
    driver.run()
    sys.exit(0)
