/* Following: a leader copies every command of its callers into one log; a follower executes the log. Two callers, two
 * workers, a host. Sequentially consistent; between any two statements of a worker (a d_step is one statement: at most
 * one store that others read) it may be killed. At most one kill in a run; a dead worker does not come back.
 *
 * Bounds and events
 *   -DNCALL=n      calls of each caller (2)                -DWINDOW=n   calls that a caller has under way (1)
 *   -DKILL         either worker is killed, anywhere       -DYIELDS=n   1: 0 yields to 1; 2: and 1 yields back
 *   -DSHARE        any record may be of the canary share   -DRING=n     records that the log holds (all)
 *   -DPATIENT      the leader answers a share record with its own reply only when the follower is dead, so that a
 *                  relayed reply that never comes is seen; without it, at any time (which covers the relayed reply)
 * Mutations, each must be found
 *   -DLIVESTAMP    stale stamps stay: a stamp counts as answered when it is not beyond the end that the log has NOW
 *   -DLOGFIRST     log record appended before the lane record is stamped
 *   -DSTATFIRST    STATUS stamped before the reply is published
 *   -DEARLYEXEC    the follower executes before STATUS (harmless alone)
 *   -DNOREANSWER   the successor does not answer what it executed while it followed
 *   -DEARLYLEAD    the follower leads at the baton, before it has executed the log to its end
 *   -DLATEEND      the yielding leader takes "the end of the log" as its position after it has passed the baton
 *   -DOPENYIELD    the leader passes the baton while share records are open
 *   -DFALSEDEATH=w the host orders worker w to lead while the other lives
 *   -DORDERONCE    the host's order to lead is an event that a leader drops, not a state that it sees again later
 *   -DFANSWERS     the follower answers the share by itself, and the leader leaves it to it
 *   -DOLDRELAY     a relayed reply does not name its order: with PATIENT, what is left in the slot is taken for a reply
 *   -DOPENREUSED   a log slot is written anew when the follower has executed it, answered or not
 *   -DNOGAP        the log is filled to its last slot, so that a slot half written is one that the successor reads
 * Checked: orders and commands agree in every state, dead ones too (hist); no command twice; a reply names the order at
 * which the command is; duplicates of a reply agree; a call sent after another's reply has a later order; a caller's
 * calls keep their order; at the end every call is answered and every living worker has executed all of them. */
#ifndef NCALL
#define NCALL 2
#endif
#ifndef WINDOW
#define WINDOW 1
#endif
#ifndef YIELDS
#define YIELDS 0
#endif
#define NC 2
#define CALLS (NC*NCALL)
#define CALL(c,i) ((c)*NCALL+(i))

#ifndef RING
#define RING CALLS
#endif
#ifdef NOGAP
#define SLOTS RING
#else
#define SLOTS (RING+1)                 /* one slot is never part of the log: the one that may be half written */
#endif
#define S(o) ((o)%SLOTS)

/* callers' lanes: call i of caller c is record i of its lane */
byte sent[NC], retired[NC], got[NC];
byte stamp[CALLS];
byte rep[CALLS];                       /* first reply to a call: its order number */
byte maxack;                           /* highest order that any caller was told */

/* the log: record of order o in slot S(o), 1 <= o <= lend */
byte lend, lcmd[SLOTS]; bool lstat[SLOTS], lshare[SLOTS]; byte relay[SLOTS];

bool baton[2], told[2], yield_[2], leads[2], kill_[2];
byte nn[2];                            /* last order executed; a follower's position in the log */
byte ran[2];                           /* commands executed */
byte hist[CALLS+2];                    /* call+1 executed at an order, by whichever worker came first */
hidden byte tmp;

#define OPEN(j)    (j < RING && lend > j && !lstat[S(lend-j)])
#define ANYOPEN    (OPEN(0) || OPEN(1) || OPEN(2) || OPEN(3) || OPEN(4) || OPEN(5))
#ifdef OPENREUSED
/* the slot does not tell any more what is open: the leader goes by its own list */
#define ANSWERED(o) (!owe[o])
#define FREED(o)   1
#else
#define ANSWERED(o) ((o) + RING <= lend || lstat[S(o)])
#define FREED(o)   lstat[S(o)]
#endif
/* order lend+1 may be appended when order lend+1-RING is answered, and executed by a follower that lives */
#define ROOM       (lend < RING || (FREED(lend+1-RING) && (told[w] || nn[1-w]+RING > lend)))

#if defined(PATIENT) && defined(OLDRELAY)
#define RELAYED(o) (relay[S(o)] != 0)
#else
#define RELAYED(o) (relay[S(o)] == o)
#endif
#ifdef PATIENT
#define MAY(j)     (RELAYED(lend-j) || told[w])
#else
#define MAY(j)     1
#endif
#if defined(FANSWERS) || defined(OPENREUSED)
#define LEADEROPEN(j) 0
#else
#define LEADEROPEN(j) (OPEN(j) && lend-j > from && MAY(j))     /* a leader answers what it has begun */
#endif

inline EXECUTE(call) {                  /* call is read when nn[w] is already the order it gets */
  nn[w]++; ran[w]++;
  assert(nn[w] <= CALLS);
  if
  :: hist[nn[w]] == 0 ->
     tmp = 1;
     do :: tmp <= CALLS -> assert(hist[tmp] != call+1); tmp++ :: else -> break od;
     tmp = 0; hist[nn[w]] = call+1
  :: else -> assert(hist[nn[w]] == call+1)
  fi }

#ifdef OLDRELAY
#define RESULT(o)  (lshare[S(o)] && leads[w] && RELAYED(o) -> relay[S(o)] : o)
#else
#define RESULT(o)  o
#endif
inline REPLY(o) {
  d_step {
    if
    :: rep[lcmd[S(o)]] == 0 -> rep[lcmd[S(o)]] = RESULT(o)
    :: else -> assert(rep[lcmd[S(o)]] == RESULT(o))
    fi } }

inline ANSWER(o) {
#ifdef STATFIRST
  lstat[S(o)] = 1; REPLY(o)
#else
  REPLY(o); lstat[S(o)] = 1
#endif
}

inline RETIRE(c) {
  do
  :: retired[c] < rd[c] && ANSWERED(stamp[CALL(c,retired[c])]) -> retired[c]++
  :: else -> break
  od;
  tmp = 0 }

#if RING < CALLS
#define APPEND(c,share) d_step { lcmd[S(nn[w]+1)] = CALL(c,rd[c]); lshare[S(nn[w]+1)] = share; lstat[S(nn[w]+1)] = 0 }; \
                        lend = nn[w]+1
#else
#define APPEND(c,share) d_step { lcmd[S(nn[w]+1)] = CALL(c,rd[c]); lshare[S(nn[w]+1)] = share; lstat[S(nn[w]+1)] = 0; \
                        lend = nn[w]+1 }
#endif

#ifdef LIVESTAMP
#define ISANSWERED(c) (stamp[CALL(c,rd[c])] != 0 && stamp[CALL(c,rd[c])] <= lend)
#else
#define ISANSWERED(c) (stamp[CALL(c,rd[c])] != 0)
#endif

inline BEGIN(c,share) {
#ifdef LOGFIRST
  APPEND(c,share);
  stamp[CALL(c,rd[c])] = nn[w]+1;
#else
  stamp[CALL(c,rd[c])] = nn[w]+1;
  APPEND(c,share);
#endif
  d_step { EXECUTE(CALL(c,rd[c])); rd[c]++ } }

inline LEAD(c) {
  if
  :: d_step { ISANSWERED(c) -> rd[c]++; RETIRE(c) }
  :: !ISANSWERED(c) && ROOM -> BEGIN(c,0); ANSWER(nn[w]); d_step { RETIRE(c) }
#ifdef SHARE
#ifdef OPENREUSED
  :: !ISANSWERED(c) && ROOM -> BEGIN(c,1); owe[nn[w]] = 1
#else
  :: !ISANSWERED(c) && ROOM -> BEGIN(c,1)
#endif
#endif
  fi }

#ifdef OPENREUSED
inline ANSWEROWED(o) {
  d_step { leads[w] && owe[o] -> if :: rep[hist[o]-1] == 0 -> rep[hist[o]-1] = o :: else -> assert(rep[hist[o]-1] == o) fi };
  d_step {
    owe[o] = 0; if :: o + SLOTS > lend -> lstat[S(o)] = 1 :: else fi;
    c = (hist[o]-1)/NCALL; RETIRE(c); c = 0 } }
#endif

inline ANSWERSHARE(j) {
  k = lend-j;
  ANSWER(k);
  d_step { c = lcmd[S(k)]/NCALL; RETIRE(c); c = 0; k = 0 } }

inline SETTLE(j) { k = lend-j; ANSWER(k); k = 0 }

/* Every stamp up to the end of the log belongs to a record that is answered by now. The one stamp beyond it, if any, is
 * of a record that was not begun: it is wiped, because the order will be given to another record. */
inline TAKELEAD() {
  baton[w] = 0; leads[w] = 1; rd[0] = retired[0]; rd[1] = retired[1];
  from = lend;
#ifndef LIVESTAMP
  do
  :: c < CALLS -> if :: stamp[c] > lend -> stamp[c] = 0 :: else fi; c++
  :: else -> break
  od;
  c = 0
#endif
}

#define NEXTSTAT   lstat[S(nn[w]+1)]
#define NEXTSHARE  lshare[S(nn[w]+1)]
#ifdef EARLYEXEC
#define MAYFOLLOW  1
#else
#define MAYFOLLOW  (NEXTSTAT || NEXTSHARE)
#endif
#ifdef EARLYLEAD
#define ATEND      (nn[w] == lend || baton[w])
#else
#define ATEND      (nn[w] == lend)
#endif
#ifdef NOREANSWER
#define SETTLED    1
#else
#define SETTLED    (!told[w] || !ANYOPEN)
#endif
#ifdef OPENYIELD
#define MAYYIELD   1
#else
#define MAYYIELD   !ANYOPEN
#endif

proctype Worker(byte w) {
  byte c, k, rd[NC];
  byte from;                           /* end of the log when this worker began to lead */
#ifdef OPENREUSED
  bool owe[CALLS+1];                   /* share records that this leader has begun and not answered */
#endif
  {
end_w:
  do
  /* ------- leading ------- */
  :: leads[w] && rd[0] < sent[0] && (ISANSWERED(0) || ROOM) -> LEAD(0)
  :: leads[w] && rd[1] < sent[1] && (ISANSWERED(1) || ROOM) -> LEAD(1)
#ifdef SHARE
  :: leads[w] && LEADEROPEN(0) -> ANSWERSHARE(0)
#if RING > 1
  :: leads[w] && LEADEROPEN(1) -> ANSWERSHARE(1)
#endif
#ifdef OPENREUSED
  :: ANSWEROWED(1)
  :: ANSWEROWED(2)
  :: ANSWEROWED(3)
  :: ANSWEROWED(4)
#endif
#if RING > 2
  :: leads[w] && LEADEROPEN(2) -> ANSWERSHARE(2)
  :: leads[w] && LEADEROPEN(3) -> ANSWERSHARE(3)
#endif
#if RING > 4
  :: leads[w] && LEADEROPEN(4) -> ANSWERSHARE(4)
  :: leads[w] && LEADEROPEN(5) -> ANSWERSHARE(5)
#endif
#endif
#ifdef ORDERONCE
  :: d_step { leads[w] && told[w] -> told[w] = 0 }
#endif
#ifdef LATEEND
  :: d_step { leads[w] && yield_[w] && !told[w] && MAYYIELD -> yield_[w] = 0; leads[w] = 0; baton[1-w] = 1 }; nn[w] = lend
#else
  :: d_step { leads[w] && yield_[w] && !told[w] && MAYYIELD -> yield_[w] = 0; leads[w] = 0; baton[1-w] = 1; rd[0] = 0; rd[1] = 0; from = 0 }
#endif
  /* ------- following ------- */
  :: d_step { !leads[w] && nn[w] < lend && MAYFOLLOW -> k = (NEXTSHARE && !NEXTSTAT -> nn[w]+1 : 0); EXECUTE(lcmd[S(nn[w])]) };
#ifdef FANSWERS
     if :: k -> ANSWER(k); k = 0 :: else fi
#endif
#ifdef PATIENT
     d_step { if :: k -> relay[S(k)] = k :: else fi; k = 0 }
#endif
#if !defined(FANSWERS) && !defined(PATIENT)
     k = 0
#endif
  /* ------- the leader is dead: answer what it did not ------- */
  :: d_step { !leads[w] && told[w] && nn[w] < lend && !MAYFOLLOW -> EXECUTE(lcmd[S(nn[w])]) }; ANSWER(nn[w])
#ifndef NOREANSWER
  :: !leads[w] && told[w] && nn[w] == lend && OPEN(0) -> SETTLE(0)
#if RING > 1
  :: !leads[w] && told[w] && nn[w] == lend && OPEN(1) -> SETTLE(1)
#endif
#if RING > 2
  :: !leads[w] && told[w] && nn[w] == lend && OPEN(2) -> SETTLE(2)
  :: !leads[w] && told[w] && nn[w] == lend && OPEN(3) -> SETTLE(3)
#endif
#if RING > 4
  :: !leads[w] && told[w] && nn[w] == lend && OPEN(4) -> SETTLE(4)
  :: !leads[w] && told[w] && nn[w] == lend && OPEN(5) -> SETTLE(5)
#endif
#endif
  /* ------- lead ------- */
  :: d_step { !leads[w] && (baton[w] || told[w]) && ATEND && SETTLED -> TAKELEAD() }
  od
  } unless { kill_[w] }
}

proctype Caller(byte c) {
  byte n, lo[NCALL];
end_c:
  do
  :: d_step { sent[c] < NCALL && sent[c]-got[c] < WINDOW -> lo[sent[c]] = maxack; sent[c]++ }
  :: d_step { got[c] < sent[c] && rep[CALL(c,got[c])] != 0 ->
       n = rep[CALL(c,got[c])];
       assert(n > lo[got[c]]);
       assert(hist[n] == CALL(c,got[c])+1);
       if :: got[c] > 0 -> assert(n > rep[CALL(c,got[c]-1)]) :: else fi;
       if :: n > maxack -> maxack = n :: else fi;
       lo[got[c]] = 0; n = 0; got[c]++ }
  :: got[c] == NCALL -> break
  od
}

proctype Host() {
  byte y; bool proved;
end_h:
  do
  :: d_step { !proved && kill_[0] -> proved = 1; told[1] = 1 }
  :: d_step { !proved && kill_[1] -> proved = 1; told[0] = 1 }
#if YIELDS > 0
  :: d_step { y == 0 -> y = 1; yield_[0] = 1 }
#endif
#if YIELDS > 1
  :: d_step { y == 1 && leads[1] -> y = 2; yield_[1] = 1 }
#endif
#ifdef FALSEDEATH
  :: d_step { !proved -> proved = 1; told[FALSEDEATH] = 1 }
#endif
  od
}

#ifdef KILL
proctype Killer() { if :: kill_[0] = 1 :: kill_[1] = 1 fi }
#endif

proctype Check() {
end_k:
  (timeout);
  assert(got[0] == NCALL && got[1] == NCALL);
#if !defined(FALSEDEATH) || FALSEDEATH == 0
  assert(kill_[0] || ran[0] == CALLS);
#endif
#if !defined(FALSEDEATH) || FALSEDEATH == 1
  assert(kill_[1] || ran[1] == CALLS);
#endif
  skip
}

init { atomic {
  leads[0] = 1;
  run Caller(0); run Caller(1); run Worker(0); run Worker(1); run Host(); run Check();
#ifdef KILL
  run Killer();
#endif
} }
