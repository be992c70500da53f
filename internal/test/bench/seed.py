"""Times the function that rollcall grew out of, current_users of the tutorial
"Tracking User Events and Generating Reports in Python", on the events of a file:
date, type, machine and user, one event a line, separated by tabs. Prints the
nanoseconds per event and the number of users logged in."""

import sys
import time


def get_event_date(event):
    return event.date


def current_users(events):
    events.sort(key=get_event_date)
    machines = {}
    for event in events:
        if event.machine not in machines:
            machines[event.machine] = set()
        if event.type == "login":
            machines[event.machine].add(event.user)
        elif event.type == "logout":
            if event.user in machines[event.machine]:
                machines[event.machine].remove(event.user)
    return machines


class Event:
    def __init__(self, event_date, event_type, machine_name, user):
        self.date = event_date
        self.type = event_type
        self.machine = machine_name
        self.user = user


with open(sys.argv[1], encoding="utf-8") as file:
    events = [Event(*line.rstrip("\n").split("\t")) for line in file]
start = time.perf_counter_ns()
machines = current_users(events)
took = time.perf_counter_ns() - start
print(took / len(events), sum(len(users) for users in machines.values()))
