/* daemon/polkit_check.h - permissions on objects, as questions to polkit
 *
 * A check is a list of questions of one client, asked some at a time, and one answer when all are answered.  Its actions are
 * org.libvirt.api.OBJECT.PERMISSION; rules see the details connect_driver, domain_name and domain_uuid, as those of libvirt do.
 *
 * Threads: the client event thread.
 */
#pragma once

#include "daemon/access_rules.h"
#include "daemon/polkit.h"
#include "rpc/conn.h"

typedef struct PolkitQuestion {
    Perm perm;
    char *name; /* of the domain; NULL: the host */
    uint8_t uuid[UUID_LEN];
    PolkitAnswer answer;
} PolkitQuestion;

typedef struct PolkitCheck PolkitCheck;

struct PolkitCheck {
    Polkit *polkit;
    RpcConn *conn;      /* reference; once it is closed no more is asked */
    GArray *questions;  /* PolkitQuestion */
    char *why;          /* of the first answer that is a failure, or NULL */
    Deadline deadline;
    unsigned next, open;
    void (*done)(PolkitCheck *c, void *ud);
    void *ud;
};

PolkitCheck *polkit_check_new(Polkit *p, RpcConn *conn);
/* o NULL: the host.  Copied. */
void polkit_check_add(PolkitCheck *c, Perm perm, const AccessObject *o);
/* Asks.  done is called once, perhaps before this returns; the check is freed behind it. */
void polkit_check_start(PolkitCheck *c, void (*done)(PolkitCheck *c, void *ud), void *ud);
/* The first question not answered with yes, or NULL. */
const PolkitQuestion *polkit_check_refusal(const PolkitCheck *c);
/* The process at the other end; false: polkit cannot know it, `*ret_why` says why. */
bool polkit_subject(RpcConn *conn, PolkitSubject *ret, const char **ret_why);
