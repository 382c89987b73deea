"""Events through the bindings: order, details, both generations, several clients."""

import libvirt

from lib import events

L = libvirt


def lives(recorder):
    """Lifecycle events; SHUTDOWN by the host's signal is left out, which libvirtd sends on the way of a destroy if QEMU is quick."""
    return [a for _, _, a in recorder.seen if a != (L.VIR_DOMAIN_EVENT_SHUTDOWN, L.VIR_DOMAIN_EVENT_SHUTDOWN_HOST)]


def test_order_of_a_life(conn, recorder, domain_xml):
    dom = conn.defineXML(domain_xml("vm", real=False))
    dom.create()
    dom.suspend()
    dom.resume()
    dom.destroy()
    dom.undefine()
    recorder.lifecycle("vm", L.VIR_DOMAIN_EVENT_UNDEFINED)
    assert lives(recorder) == [
        (L.VIR_DOMAIN_EVENT_DEFINED, L.VIR_DOMAIN_EVENT_DEFINED_ADDED),
        (L.VIR_DOMAIN_EVENT_RESUMED, L.VIR_DOMAIN_EVENT_RESUMED_UNPAUSED),
        (L.VIR_DOMAIN_EVENT_STARTED, L.VIR_DOMAIN_EVENT_STARTED_BOOTED),
        (L.VIR_DOMAIN_EVENT_SUSPENDED, L.VIR_DOMAIN_EVENT_SUSPENDED_PAUSED),
        (L.VIR_DOMAIN_EVENT_RESUMED, L.VIR_DOMAIN_EVENT_RESUMED_UNPAUSED),
        (L.VIR_DOMAIN_EVENT_STOPPED, L.VIR_DOMAIN_EVENT_STOPPED_DESTROYED),
        (L.VIR_DOMAIN_EVENT_UNDEFINED, L.VIR_DOMAIN_EVENT_UNDEFINED_REMOVED),
    ]


def test_paused_start(conn, recorder, domain_xml):
    dom = conn.createXML(domain_xml("vm", real=False), L.VIR_DOMAIN_START_PAUSED)
    dom.destroy()
    recorder.lifecycle("vm", L.VIR_DOMAIN_EVENT_STOPPED)
    assert lives(recorder) == [
        (L.VIR_DOMAIN_EVENT_STARTED, L.VIR_DOMAIN_EVENT_STARTED_BOOTED),
        (L.VIR_DOMAIN_EVENT_SUSPENDED, L.VIR_DOMAIN_EVENT_SUSPENDED_PAUSED),
        (L.VIR_DOMAIN_EVENT_STOPPED, L.VIR_DOMAIN_EVENT_STOPPED_DESTROYED),
    ]


def test_redefinition_and_rename(conn, recorder, domain_xml):
    dom = conn.defineXML(domain_xml("vm", real=False, memory=128))
    conn.defineXML(domain_xml("vm", real=False, memory=64))
    dom.rename("other")
    recorder.lifecycle("other", L.VIR_DOMAIN_EVENT_DEFINED)
    assert [(n, a) for _, n, a in recorder.seen] == [
        ("vm", (L.VIR_DOMAIN_EVENT_DEFINED, L.VIR_DOMAIN_EVENT_DEFINED_ADDED)),
        ("vm", (L.VIR_DOMAIN_EVENT_DEFINED, L.VIR_DOMAIN_EVENT_DEFINED_UPDATED)),
        ("vm", (L.VIR_DOMAIN_EVENT_UNDEFINED, L.VIR_DOMAIN_EVENT_UNDEFINED_RENAMED)),
        ("other", (L.VIR_DOMAIN_EVENT_DEFINED, L.VIR_DOMAIN_EVENT_DEFINED_RENAMED)),
    ]


def test_first_definition_of_a_transient_machine(conn, recorder, domain_xml):
    dom = conn.createXML(domain_xml("vm", real=False), L.VIR_DOMAIN_START_PAUSED)
    for _ in range(2):
        conn.defineXML(domain_xml("vm", real=False))
    dom.undefine()
    recorder.lifecycle("vm", L.VIR_DOMAIN_EVENT_UNDEFINED)
    assert lives(recorder)[-3:] == [
        (L.VIR_DOMAIN_EVENT_DEFINED, L.VIR_DOMAIN_EVENT_DEFINED_ADDED),
        (L.VIR_DOMAIN_EVENT_DEFINED, L.VIR_DOMAIN_EVENT_DEFINED_UPDATED),
        (L.VIR_DOMAIN_EVENT_UNDEFINED, L.VIR_DOMAIN_EVENT_UNDEFINED_REMOVED),
    ]


def test_only_one_domain(conn, domain_xml):
    first = conn.defineXML(domain_xml("first", real=False))
    second = conn.defineXML(domain_xml("second", real=False))
    recorder = events.Recorder(conn, domain=second)
    try:
        first.create()
        second.create()
        recorder.lifecycle("second", L.VIR_DOMAIN_EVENT_STARTED)
        assert {n for _, n, _ in recorder.seen} == {"second"}
    finally:
        recorder.close()
        first.destroy()
        second.destroy()


def test_metadata_event(conn, domain_xml):
    dom = conn.defineXML(domain_xml("vm", real=False))
    recorder = events.Recorder(conn, [L.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE])
    dom.setMetadata(L.VIR_DOMAIN_METADATA_ELEMENT, "<a/>", "k", "urn:test", L.VIR_DOMAIN_AFFECT_CONFIG)
    seen = recorder.wait(lambda e, n, a: True)
    assert seen[2] == (L.VIR_DOMAIN_METADATA_ELEMENT, "urn:test")
    recorder.close()


def test_oldest_generation(conn, domain_xml):
    """DomainEventRegister, as the oldest clients call it."""
    import threading
    seen, cond = [], threading.Condition()

    def callback(_conn, dom, event, detail, _opaque):
        with cond:
            seen.append((dom.name(), event, detail))
            cond.notify_all()

    conn.domainEventRegister(callback, None)
    conn.defineXML(domain_xml("vm", real=False))
    with cond:
        assert cond.wait_for(lambda: seen, 20)
    conn.domainEventDeregister(callback)
    assert seen[0] == ("vm", L.VIR_DOMAIN_EVENT_DEFINED, L.VIR_DOMAIN_EVENT_DEFINED_ADDED)


def test_two_clients_see_the_same(server, conn, recorder, domain_xml):
    other = server.connect()
    second = events.Recorder(other)
    dom = conn.createXML(domain_xml("vm", real=False))
    dom.destroy()
    recorder.lifecycle("vm", L.VIR_DOMAIN_EVENT_STOPPED)
    second.lifecycle("vm", L.VIR_DOMAIN_EVENT_STOPPED)
    assert recorder.seen == second.seen
    second.close()
    other.close()


def test_close_callback(own_server, domain_xml):
    import threading
    server = own_server()
    conn = server.connect()
    closed = threading.Event()
    reasons = []
    conn.registerCloseCallback(lambda _c, reason, _o: (reasons.append(reason), closed.set()), None)
    server.stop()
    assert closed.wait(20)
    assert reasons == [L.VIR_CONNECT_CLOSE_REASON_EOF]
    conn.close()

