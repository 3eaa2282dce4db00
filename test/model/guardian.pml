/* guardian.pml - who thaws: one record of src/vss/frozen.h and the file system
 * it is about, for spin. The worker's thread and its loop, the guardian, who
 * starts them anew, and somebody else who freezes the same file system.
 *
 * A step is one compare-and-swap or one half of a system call, as in
 * src/vss/frozen.c; records do not touch each other there, so one is enough.
 * KILLS times worker or guardian is killed, anywhere; FOREIGN times somebody
 * else freezes, and thaws what he froze at any time, or never. The deadline
 * passes at any time. One freeze.
 *
 * Two things that nobody can help, each a run of its own that has to find it:
 *
 *   NEVER=OVER   the worker is killed between FIFREEZE's EBUSY and the store:
 *                somebody else's freeze is thawed; so it is if it is killed
 *                before the call, or between FITHAW and the store
 *   NEVER=ASKED  the same at the deadline, with a worker that is slow
 *
 * In all other states that never happens. If it does, the worker's FIFREEZE may
 * succeed behind it, and the record says THAWED: so "in the end it is thawed"
 * is verified with FOREIGN 0. ORPHAN_IS_DEAD: recovery that takes a worker that
 * lives for dead; it must be found to leave something frozen.
 *
 * Abstract: the deadline and every other cause of thawing are one; FITHAW does
 * not fail but with EINVAL; nobody thaws what somebody else froze, but us; a
 * stopped worker is one that is slow. Who starts the daemon anew waits for an
 * orphaned worker to die however long that takes.
 */
#ifndef KILLS
#define KILLS	2
#endif
#ifndef FOREIGN
#define FOREIGN	1
#endif

mtype = {	/* enum freeze_state */
	NONE, ASKING, FROZEN, FOREIGN_, FAILED, REVOKED, THAWING, THAWED, STUCK,
	CANCELLED
};
mtype:who = { NOBODY, DAEMON, GUARDIAN, RESTART };
mtype:claim = { NOTHING, SURE, ASKED, OVER };
mtype:fs = { FREE, FREEZING, OURS, THEIRS };

mtype state = NONE;
mtype:who who = NOBODY;		/* is thawing */
mtype:fs fs = FREE;
bool worker_up = true, guardian_up = true;
bool in_kernel;			/* the worker's thread: it cannot die */
bool revoked;			/* the worker's loop wants the end */
bool blind;			/* a system call is about to be made, or was,
				 * and what became of it is not stored */
byte kills = KILLS;

#define REAPED	(!worker_up && !in_kernel)

/* FIFREEZE fails with EBUSY as soon as somebody has begun; FITHAW with EINVAL
 * unless a freeze is complete. */
inline fithaw(c, failed)
{
	failed = (fs == FREE || fs == FREEZING);
	if
	:: fs == THEIRS ->
		/* Only when nobody can know. */
		assert(blind);
		assert(c != SURE);
#ifdef NEVER
		assert(c != NEVER)	/* expected to fail */
#endif
	:: else
	fi;
	if
	:: !failed -> fs = FREE; blind = true
	:: else
	fi
}

/* The worker: frozen_freeze() in its thread ------------------------------- */

active proctype thread()
{
	bool ok, failed;
	mtype to;

	atomic {
		worker_up && state == NONE -> state = ASKING; blind = true
	}
	atomic {
		worker_up ->
		if
		:: fs == FREE -> fs = FREEZING; in_kernel = true; ok = true
		:: fs != FREE -> to = FOREIGN_
		:: fs == FREE -> to = FAILED
		fi
	}
	if
	:: ok ->
		atomic { fs = OURS; to = FROZEN; in_kernel = false }
	:: else
	fi;
	atomic {
		worker_up ->
		if
		:: state == ASKING -> state = to; blind = false; goto rest
		:: else
		fi
	}
	/* freeze_revoked() */
	if
	:: atomic { worker_up && state == REVOKED && !ok ->
		state = to; blind = false; goto rest }
	:: atomic { worker_up && state == REVOKED && ok ->
		state = THAWING; who = DAEMON; blind = false; goto thaw }
	:: atomic { worker_up && state != REVOKED && state != THAWING ->
		goto rest }
	fi;
rest:	/* TASK_THAW: frozen_sweep(), without force */
	atomic {
		worker_up && revoked && state == FROZEN ->
		state = THAWING; who = DAEMON
	}
thaw:	atomic { worker_up -> fithaw(SURE, failed) }
	atomic {
		worker_up && state == THAWING && who == DAEMON ->
		state = THAWED;
		blind = false
	}
}

inline revoke()
{
	if
	:: state == NONE -> state = CANCELLED
	:: state == ASKING -> state = REVOKED
	:: else
	fi
}

/* Its loop: the driver's THAW or ABORT, its own deadline, a guardian gone. */
active proctype loop()
{
	atomic { worker_up -> revoked = true; revoke() }
}

/* The guardian's helper, and recovery ------------------------------------- */

#define MAYBE	(state == ASKING || state == FROZEN || state == REVOKED ||	\
		 state == THAWING)

/* me: GUARDIAN or RESTART. dead: as it was when the sweep began. */
inline take(me, dead, c)
{
	c = NOTHING;
	if
	:: state == FROZEN -> c = SURE
	:: state == REVOKED -> c = (dead -> OVER : ASKED)
	:: state == THAWING && dead && (who == DAEMON || me == RESTART) ->
		c = OVER
	:: else
	fi;
	if
	:: c != NOTHING -> state = THAWING; who = me
	:: else
	fi
}

inline store(me, c, failed)
{
	if
	:: state == THAWING && who == me && failed && c == ASKED ->
		state = REVOKED
	:: state == THAWING && who == me && !(failed && c == ASKED) ->
		state = THAWED;
		blind = false
	:: else
	fi;
	c = NOTHING;
	failed = false
}

/* Both, one after the other: the guardian, and after its death the next one,
 * who ends what worker is left. */
active proctype guardian()
{
	mtype:claim c = NOTHING;
	bool failed, dead;

watch:	do
	:: atomic { guardian_up -> dead = REAPED; revoke() };
		/* A sweep that found nothing to do waits for a change. */
		if
		:: atomic { guardian_up && (state == FROZEN || state == REVOKED ||
			    (state == THAWING && dead && who == DAEMON)) ->
			take(GUARDIAN, dead, c) }
		:: atomic { guardian_up && state == THAWING && !dead && REAPED ->
			dead = true }
		:: !guardian_up -> goto restart
		:: atomic { guardian_up && !MAYBE -> goto gone }
		fi;
		if
		:: atomic { guardian_up && c != NOTHING -> fithaw(c, failed) };
			if
			:: atomic { guardian_up ->
				store(GUARDIAN, c, failed) }
			:: !guardian_up -> goto restart
			fi
		:: atomic { guardian_up && c == NOTHING -> skip }
		:: !guardian_up -> goto restart
		fi
	:: !guardian_up -> goto restart
	od;
gone:	!guardian_up;
restart:
	c = NOTHING;
	failed = false;
end_again:
	do
	:: atomic { MAYBE ->
#ifdef ORPHAN_IS_DEAD
		dead = true;
#else
		dead = REAPED;
#endif
		revoke();
		take(RESTART, dead, c) };
		if
		:: c != NOTHING ->
			atomic { fithaw(c, failed) };
			atomic { store(RESTART, c, failed) }
		:: else
		fi
	:: worker_up -> worker_up = false	/* end_orphan() */
	od
}

active proctype killer()
{
end_idle:
	do
	:: atomic { kills > 0 && worker_up -> kills--; worker_up = false }
	:: atomic { kills > 0 && guardian_up -> kills--; guardian_up = false }
	od
}

active proctype somebody()
{
	byte left = FOREIGN;

end_idle:
	do
	:: atomic { left > 0 && fs == FREE -> left--; fs = THEIRS }
	:: atomic { fs == THEIRS -> fs = FREE }
	od
}

#ifdef FORMULA
ltl thawed { [] ((fs == OURS) -> <> (fs != OURS)) }
#endif
