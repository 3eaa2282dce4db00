"""cloudinit_reporter.py POOL COUNT - publish COUNT events by cloud-init's own
Hyper-V handler, as cloud-init does during boot, once a line comes in on
standard input. PYTHONPATH says where cloud-init is.
"""
import sys

# A message that cloud-init has to split over several records.
LONG = "0123456789abcdef" * 200


def message(i):
    return LONG if i % 100 == 0 else f"event number {i}"


def main(pool, count):
    from cloudinit.reporting import events, handlers

    handler = handlers.HyperVKvpReportingHandler(kvp_file_path=pool)
    print("ready", flush=True)
    sys.stdin.readline()
    for i in range(count):
        handler.publish_event(events.ReportingEvent(
            events.START_EVENT_TYPE, f"event-{i:05}", message(i)))
        if i % 7 == 0:
            handler.flush()     # else it would append all of them at once
    handler.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
