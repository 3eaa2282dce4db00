/* vss.pml - the coordinator of src/vss/vss.c and everybody around it, for
 * spin: the host, two applications, the file-system daemon's worker and
 * guardian, and whoever kills and restarts them.
 *
 *   host ==> driver <==> application 0, 1
 *                   <==> worker, guardian
 *
 * The driver's transitions are not written down here: its process includes
 * src/vss/vss_fsm.def, from which vss.c is compiled too. What is modelled by
 * hand is what the table leaves to its surroundings: whom to ask, whose answer
 * belongs to which question, what waits.
 *
 * Anything may be late: a message stays in its queue as long as it likes, and
 * every timer that runs may fire at any time. Anybody may die wherever nothing
 * is atomic, FAULTS times in all; the host asks REQUESTS times, in any order,
 * two requests side by side at most, and starts over RESETS times.
 *
 * All of that is bounded, and one run of tools/model.py shows that
 * every run ends. Thus "in the end" needs no fairness: in the last state of
 * each run it has either happened or never will.
 */
#ifndef REQUESTS
#define REQUESTS	3
#endif
#ifndef RESETS
#define RESETS		1
#endif
#ifndef FAULTS
#define FAULTS		1
#endif

#ifndef APPS
#define APPS		2
#endif
#define NOREQ		2	/* no slot of the host's */

mtype = {
	/* the driver's states, */
	IDLE, CHECK_APPS, CHECK_FS, FREEZE_APPS, FREEZE_FS, FROZEN, THAW_FS,
	THAW_APPS, ABORT_FS, BREAK_FS, BROKEN,
	/* ... its events, some of them messages as well, */
	CHECK, FREEZE, THAW, NOBODY, APPS_OK, APPS_NO, FS_OK, FS_NO, FS_GONE,
	LATE, WINDOW, CANCEL, RESET,
	/* ... and other messages */
	ABORT, YES, NO, NOEVENT
};

/* A client's socket, by who has closed it. */
mtype:link = { DOWN, UP, GONE /* client */, THROWN /* driver */ };

/* The host. slot: its two requests. */
chan to_driver = [3] of { mtype, byte };
bool asked[2];			/* slot: waits for its reply */
mtype request[2] = RESET;
bool resetting;

/* Clients. Every question has a number, and every answer names it. */
chan to_app[APPS] = [2] of { mtype, byte };
chan from_app[APPS] = [1] of { mtype, byte };
mtype:link app_link[APPS] = DOWN;
bool told[APPS];		/* it read FREEZE, and not yet the end */
bool held[APPS];		/* ... and said that it holds */

chan to_fs = [2] of { mtype, byte };
chan from_fs = [2] of { mtype, byte };
mtype:link fs_link = DOWN;

/* The driver. */
mtype state = IDLE;
bool driver_up = true;
byte app_id, fs_id;		/* of the last questions */

/* The daemon: two processes and their shared memory. */
bool worker_up = true, guardian_up = true;
bool stopped;			/* the worker, by SIGSTOP */
bool frozen;			/* file systems, by us */
bool freeze_in_hand;		/* the worker has a FREEZE, no end to it yet */
bool answering;			/* ... and has not answered it */
byte freeze_id;

byte faults = FAULTS;

/* What the host sees, and what really is the case. A snapshot is made at any
 * time between the reply to FREEZE and the host's THAW. */
bool snapping;
bool fs_held, apps_held;	/* all the while */
bool party[APPS];		/* it was told FREEZE for this one */
byte closing = NOREQ;		/* the THAW that ended it */

/* The world behind ------------------------------------------------------- */

inline thaw_file_systems()
{
	frozen = false;
	fs_held = fs_held && !snapping
}

inline drain(queue)
{
	do
	:: nempty(queue) -> queue?_,_
	:: empty(queue) -> break
	od
}

/* The client at this end of the socket is gone. */
inline client_closes(link, inbox)
{
	if
	:: link == UP -> link = GONE
	:: link == THROWN -> link = DOWN
	:: else
	fi;
	drain(inbox)
}

inline driver_closes(link)
{
	if
	:: link == UP -> link = THROWN
	:: link == GONE -> link = DOWN
	:: else
	fi
}

inline thaw_if_frozen()
{
	if
	:: frozen -> thaw_file_systems()
	:: else
	fi
}

inline no_snapshot()
{
	snapping = false;
	closing = NOREQ;
	fs_held = false;
	apps_held = false;
	party[0] = false;
	party[APPS - 1] = false
}

/* The host's ring is gone, or starts over: nobody waits for a reply. */
inline forget_requests()
{
	asked[0] = false;
	asked[1] = false;
	request[0] = RESET;
	request[1] = RESET;
	no_snapshot()
}

/* The host ---------------------------------------------------------------- */

#define OTHER(slot)	(1 - (slot))

/* A reply reaches the host. One that has asked something more already takes
 * no snapshot. */
inline host_hears(slot, ok)
{
	assert(asked[slot]);
	asked[slot] = false;
	kind = request[slot];
	request[slot] = RESET;
	if
	:: kind == FREEZE && ok ->
		snapping = !asked[OTHER(slot)];
		closing = NOREQ;
		fs_held = frozen;
		apps_held = true;
		for (n : 0 .. APPS - 1) {
			apps_held = apps_held && (!owed[n] || held[n]);
			party[n] = owed[n]
		};
		n = 0
	:: kind == THAW && ok && closing == slot ->
		/* No wrong verdict. */
		assert(fs_held);
		assert(!complete || apps_held);
		closing = NOREQ
	:: else ->
		if
		:: closing == slot -> closing = NOREQ
		:: else
		fi
	fi;
	if
	:: !snapping && closing == NOREQ -> no_snapshot()
	:: else
	fi;
	kind = RESET
}

active proctype host()
{
	byte left = REQUESTS, resets = RESETS, slot;

end_idle:
	do
	:: atomic {
		driver_up && !resetting && left > 0 && nfull(to_driver) &&
		(!asked[0] || !asked[1]) ->
		left--;
		slot = (asked[0] -> 1 : 0);
		asked[slot] = true;
		if
		:: request[slot] = FREEZE;
			snapping = false	/* a new backup: it has given */
		:: request[slot] = CHECK;	/* ... up the one before */
			snapping = false
		:: request[slot] = THAW;
			if
			:: snapping -> closing = slot; snapping = false
			:: else
			fi
		fi;
		to_driver!request[slot],slot;
		slot = 0
	   }
	:: atomic {
		driver_up && !resetting && resets > 0 && nfull(to_driver) ->
		resets--;
		resetting = true;
		no_snapshot();
		to_driver!RESET,NOREQ
	   }
	od
}

/* The driver -------------------------------------------------------------- */

#define APP_STATE	(state == CHECK_APPS || state == FREEZE_APPS ||	\
			 state == THAW_APPS)
#define FS_STATE	(state == CHECK_FS || state == FREEZE_FS ||	\
			 state == THAW_FS || state == ABORT_FS ||	\
			 state == BREAK_FS)
#define SETTLED		(state == IDLE || state == FROZEN || state == BROKEN)
#define HOLDING		(state == FREEZE_APPS || state == FREEZE_FS ||	\
			 state == FROZEN || state == THAW_FS)
#define QUIET(a, b)	(len(a) == 0 && len(b) == 0)
#if APPS == 2
#define WAITING		(waiting[0] || waiting[1])
#else
#define WAITING		waiting[0]
#endif

/* sent: it is in the client's queue. */
inline send(link, queue, what, number)
{
	sent = false;
	if
	:: link == UP && nfull(queue) ->
		queue!what,number;
		sent = true
	:: link == UP && full(queue)		/* it does not read */
	:: link != UP				/* it is gone */
	fi
}

/* A round of questions. With the first that cannot be asked it is lost. */
inline ask_apps(what)
{
	app_id = (app_id + 1) % 8;
	app_no = false;
	for (i : 0 .. APPS - 1) {
		waiting[i] = false;
		if
		:: app_link[i] == DOWN || app_link[i] == THROWN || app_no
		:: app_link[i] == UP || app_link[i] == GONE && !app_no ->
			retry(i);
			sent = false;
			if
			:: !due[i] -> send(app_link[i], to_app[i], what, app_id)
			:: else
			fi;
			waiting[i] = sent;
			app_no = !sent;
			owed[i] = owed[i] || (sent && what == FREEZE)
		fi
	};
	i = 0
}

/* The end cannot be told now: as soon as there is room, and nothing else
 * before. */
inline tell_apps_the_end(how)
{
	app_id = (app_id + 1) % 8;
	app_no = false;
	for (i : 0 .. APPS - 1) {
		waiting[i] = false;
		if
		:: owed[i] && !due[i] ->
			send(app_link[i], to_app[i], how, app_id);
			owed[i] = !sent;
			due[i] = !sent;
			waiting[i] = (sent && how == THAW);
			app_no = app_no || (!sent && how == THAW);
			complete = complete && (sent || how != THAW)
		:: else
		fi
	};
	i = 0
}

inline retry(a)
{
	if
	:: due[a] ->
		send(app_link[a], to_app[a], ABORT, 8);
		owed[a] = !sent;
		due[a] = !sent
	:: else
	fi
}

/* follow: the event that has happened already when the action is done. */
inline ask_fs(what)
{
	fs_id = (fs_id + 1) % 8;
	sent = false;
	if
	:: fs_due -> send(fs_link, to_fs, ABORT, 8); fs_due = !sent; sent = false
	:: else
	fi;
	if
	:: !fs_due -> send(fs_link, to_fs, what, fs_id)
	:: else
	fi;
	if
	:: !sent ->
		follow = FS_NO;
		fs_due = fs_due || what == THAW || what == ABORT
	:: else
	fi
}

inline reply(ok)
{
	if
	:: in_hand != NOREQ ->
		host_hears(in_hand, ok);
		in_hand = NOREQ
	:: else
	fi
}

/* The table's actions. */
inline nothing() { skip }
inline reply_ok() { assert(in_hand != NOREQ); reply(true) }
inline reply_fail() { reply(false) }
inline ask_apps_check() { ask_apps(CHECK) }
inline ask_apps_freeze() { refused = false; complete = true; ask_apps(FREEZE) }
inline ask_fs_check() { ask_fs(CHECK) }
inline ask_fs_freeze() { ask_fs(FREEZE) }
inline ask_fs_thaw() { ask_fs(THAW) }
inline reply_ok_open_window()
{
	assert(!refused);
	reply_ok()
}
inline thaw_apps() { tell_apps_the_end(THAW) }
inline abort_fs() { ask_fs(ABORT) }
inline abort_apps() { tell_apps_the_end(ABORT) }
inline abort_apps_reply_fail() { abort_apps(); reply_fail() }

/* A request from the ring is acted upon. */
inline take_up(what, slot)
{
	in_hand = slot;
	ev = what;
	if
	:: what != THAW && state != FROZEN && fs_link != UP && fs_link != GONE ->
		ev = NOBODY
	:: else
	fi
}

/* Which rows were taken, in any run: no part of the state, and spin's own list
 * of what was unreached leaves out what it has merged. Told at pan's end. */
c_decl {
static unsigned char taken[1000];
__attribute__((destructor)) static void tell_taken(void)
{
	for (int i = 0; i < 1000; i++)
		if (taken[i])
			printf("row taken: %d\n", i);
}
};

#define ROW(from, event, to, action)					\
	:: state == from && ev == event ->				\
		c_code { taken[__LINE__] = 1; };			\
		state = to;						\
		action();

active proctype driver()
{
	mtype kind = RESET, ev = RESET, answer, pending = RESET;	/* RESET: none */
	byte in_hand = NOREQ, pending_slot, id, i, n;
	bool waiting[APPS];	/* asked, not answered */
	bool owed[APPS];	/* told FREEZE: the end is owed */
	bool due[APPS], fs_due;	/* ... and could not be told */
	bool app_no, sent;
	mtype follow = NOEVENT;
	bool complete;		/* all applications hold as they said */
	bool refused;		/* policy makes one that died a no */

end_idle:
	do
	:: atomic {
		if			/* one event; a driver that is down gets none */
		:: nempty(to_driver) &&
		   (pending == RESET || to_driver?[RESET,_]) ->
			to_driver?answer,id;
			if
			:: answer == RESET ->
				forget_requests();
				resetting = false;
				in_hand = NOREQ;
				pending = RESET;
				pending_slot = 0;
				ev = RESET
			:: answer != RESET && SETTLED -> take_up(answer, id)
			:: else ->
				pending = answer;
				pending_slot = id;
				ev = (in_hand != NOREQ -> CANCEL : NOEVENT)
			fi
		:: from_app[0]?answer,id -> i = 0; goto app_answered
#if APPS == 2
		:: from_app[1]?answer,id -> i = 1; goto app_answered
		:: app_link[1] == GONE && empty(from_app[1]) -> i = 1; goto app_gone
		:: due[1] && app_link[1] == UP && nfull(to_app[1]) ->
			retry(1);
			ev = NOEVENT
#endif
		:: app_link[0] == GONE && empty(from_app[0]) -> i = 0; goto app_gone
		:: from_fs?answer,id ->
			if
			:: id == fs_id && FS_STATE ->
				ev = (answer == YES -> FS_OK : FS_NO)
			:: id == fs_id && state == FROZEN -> ev = FS_NO
			:: else -> ev = NOEVENT
			fi
		:: fs_link == GONE && empty(from_fs) ->
			fs_link = DOWN;
			fs_due = false;
			ev = FS_GONE
		:: due[0] && app_link[0] == UP && nfull(to_app[0]) ->
			retry(0);
			ev = NOEVENT
		:: fs_due && fs_link == UP && nfull(to_fs) ->
			to_fs!ABORT,8;
			fs_due = false;
			ev = NOEVENT
		:: FS_STATE -> ev = LATE
		:: state == FROZEN -> ev = WINDOW
		:: APP_STATE && WAITING ->	/* silent ones */
			for (i : 0 .. APPS - 1) {
				waiting[i] = false
			};
			if
			:: state == FREEZE_APPS -> complete = false
			:: else
			fi;
			ev = NOEVENT;
			if		/* policy */
			:: app_no = true
			:: state != THAW_APPS
			fi
		:: driver_up && faults > 0 ->
			faults--;
			driver_up = false;
			goto dies
		fi;
		goto step;

app_answered:
		ev = NOEVENT;
		if
		:: id == app_id && waiting[i] ->
			waiting[i] = false;
			if
			:: answer == NO -> app_no = true
			:: else
			fi
		:: else
		fi;
		goto step;
app_gone:
		app_link[i] = DOWN;
		waiting[i] = false;
		ev = NOEVENT;
		if
		:: owed[i] && HOLDING ->
			complete = false;
			if		/* policy */
			:: state == FREEZE_APPS -> refused = true; app_no = true
			:: state == FREEZE_FS || state == FROZEN ->
				refused = true;
				ev = APPS_NO
			:: skip
			fi
		:: else
		fi;
		owed[i] = false;
		due[i] = false;
		goto step;
dies:
		forget_requests();
		drain(to_driver);
		resetting = false;
		in_hand = NOREQ;
		pending = RESET;
		pending_slot = 0;
		app_id = 0;
		fs_id = 0;
		fs_due = false;
		app_no = false;
		complete = false;
		refused = false;
		for (i : 0 .. APPS - 1) {
			waiting[i] = false;
			owed[i] = false;
			due[i] = false;
			driver_closes(app_link[i]);
			drain(from_app[i])
		};
		driver_closes(fs_link);
		drain(from_fs);
		state = IDLE;
		ev = NOEVENT;

step:		printf("driver: %e, %e\n", state, ev);
		answer = RESET;
		id = 0;
		i = 0;
		if
#include "../../src/vss/vss_fsm.def"
		:: else
		fi;
		sent = false;
		if
		:: follow != NOEVENT ->
			ev = follow;
			follow = NOEVENT;
			goto step
		:: follow == NOEVENT && APP_STATE && app_no &&
		   (!WAITING || state != THAW_APPS) ->
			app_no = false;
			ev = APPS_NO;
			goto step
		:: follow == NOEVENT && APP_STATE && !app_no && !WAITING ->
			ev = APPS_OK;
			goto step
		:: follow == NOEVENT && SETTLED && pending != RESET ->
			take_up(pending, pending_slot);
			pending = RESET;
			pending_slot = 0;
			goto step
		:: else
		fi;
		if
		:: state == IDLE -> complete = false; refused = false
		:: else
		fi;
		if			/* numbers start anew when none is about */
		:: state == IDLE && !freeze_in_hand && QUIET(to_fs, from_fs) ->
			fs_id = 0
		:: else
		fi;
		if
		:: state == IDLE && QUIET(to_app[0], from_app[0]) &&
		   QUIET(to_app[APPS - 1], from_app[APPS - 1]) -> app_id = 0
		:: else
		fi;
		ev = RESET
	   }
	:: !driver_up -> driver_up = true
	od
}

/* An answer to an older question would be thrown away, and is not even sent:
 * fewer states. One may grow old on its way. */
#define CURRENT(link, number, last)	((link) == UP && (number) == (last))

/* Applications ------------------------------------------------------------ */

inline app_let_go(i)
{
	if
	:: held[i] && snapping && party[i] -> apps_held = false
	:: else
	fi;
	told[i] = false;
	held[i] = false
}

proctype app(byte me)
{
	mtype m;
	byte id;

end_idle:
	do
	:: app_link[me] == DOWN && driver_up -> app_link[me] = UP
	:: atomic {
		nfull(from_app[me]) && nempty(to_app[me]) ->
		to_app[me]?m,id;
		if
		:: m == FREEZE ->
			assert(!told[me]);
			told[me] = true
		:: m == THAW || m == ABORT ->
			assert(told[me]);
			app_let_go(me)
		:: else
		fi;
		if
		:: CURRENT(app_link[me], id, app_id) && m != ABORT ->
			from_app[me]!YES,id;
			held[me] = (m == FREEZE)
		:: CURRENT(app_link[me], id, app_id) && m != ABORT ->
			from_app[me]!NO,id
		:: skip				/* silent */
		fi;
		m = RESET;
		id = 0
	   }
	:: atomic {				/* end of file */
		app_link[me] == THROWN && empty(to_app[me]) ->
		app_link[me] = DOWN;
		app_let_go(me)
	   }
	:: atomic {				/* it dies, or closes */
		faults > 0 && app_link[me] != DOWN ->
		faults--;
		app_let_go(me);
		client_closes(app_link[me], to_app[me])
	   }
	od
}

/* The daemon: worker and guardian ----------------------------------------- */

#define RUNS	(worker_up && !stopped)

inline kill_worker()
{
	worker_up = false;
	stopped = false;
	freeze_in_hand = false;
	answering = false;
	freeze_id = 0;
	client_closes(fs_link, to_fs)
}

inline answer_driver(how)
{
	if
	:: CURRENT(fs_link, id, fs_id) -> from_fs!how,id
	:: else
	fi
}

inline worker_thaws()
{
	thaw_if_frozen();
	freeze_in_hand = false;
	answering = false;
	freeze_id = 0
}

active proctype worker()
{
	mtype m;
	byte id;

end_idle:
	do
	:: RUNS && fs_link == DOWN && driver_up -> fs_link = UP
	:: atomic {
		RUNS && nfull(from_fs) && nempty(to_fs) ->
		to_fs?m,id;
		if
		:: m == FREEZE && !freeze_in_hand ->
			if
			:: frozen = true;
				freeze_in_hand = true;
				answering = true;
				freeze_id = id
			:: true -> answer_driver(NO)		/* and rolled back */
			fi
		:: m == FREEZE && freeze_in_hand -> answer_driver(NO)
		:: m == CHECK ->
			if
			:: true -> answer_driver(YES)
			:: true -> answer_driver(NO)
			fi
		:: m == THAW && frozen && !answering ->
			worker_thaws();
			answer_driver(YES)
		:: m == ABORT || (m == THAW && !(frozen && !answering)) ->
			worker_thaws();
			if
			:: m == ABORT -> answer_driver(YES)
			:: else -> answer_driver(NO)
			fi
		fi;
		m = RESET;
		id = 0
	   }
	:: atomic {				/* all are frozen */
		RUNS && answering && frozen && nfull(from_fs) ->
		answering = false;
		id = freeze_id;
		answer_driver(YES);
		id = 0
	   }
	:: atomic {				/* the guardian had to thaw */
		RUNS && freeze_in_hand && !frozen && nfull(from_fs) ->
		id = freeze_id;
		answer_driver(NO);
		worker_thaws();
		id = 0
	   }
	:: atomic {				/* its own deadline */
		RUNS && frozen && freeze_in_hand -> thaw_file_systems()
	   }
	:: atomic {				/* end of file: no driver */
		RUNS && fs_link == THROWN && empty(to_fs) ->
		worker_thaws();
		fs_link = DOWN
	   }
	:: atomic {				/* end of file: no guardian */
		RUNS && !guardian_up ->
		worker_thaws();
		kill_worker()
	   }
	:: atomic { worker_up && faults > 0 -> faults--; kill_worker() }
	:: atomic { RUNS && faults > 0 -> faults--; stopped = true }
	od
}

/* The guardian, and the service manager that starts it again. */
active proctype guardian()
{
end_idle:
	do
	:: atomic {				/* the worker is dead */
		guardian_up && !worker_up ->
		thaw_if_frozen();
		worker_up = true
	   }
	:: atomic {				/* the deadline */
		guardian_up && frozen -> thaw_file_systems()
	   }
	:: atomic { guardian_up && faults > 0 -> faults--; guardian_up = false }
	:: atomic { !guardian_up && worker_up -> kill_worker() }
	:: atomic {				/* what both have left behind */
		!guardian_up && !worker_up ->
		thaw_if_frozen();
		guardian_up = true
	   }
	od
}

/* The end ----------------------------------------------------------------- */

#define NOTHING_LEFT							\
	(!frozen && !told[0] && !told[APPS - 1] && !held[0] && !held[APPS - 1] &&	\
	 !asked[0] && !asked[1] && !resetting &&			\
	 (state == IDLE || state == BROKEN))

active proctype judge()
{
end_idle:
	timeout -> assert(NOTHING_LEFT)
}

#ifdef FORMULA
ltl in_the_end {
	[] ((frozen -> <> !frozen) && (told[0] -> <> !told[0]) &&
	    (asked[0] -> <> !asked[0]))
}
#endif

init {
	run app(0);
#if APPS == 2
	run app(1)
#endif
}
