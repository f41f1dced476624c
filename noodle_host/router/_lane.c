/* The native lane: lane.py and the Sleeper of bell.py again, with C11 atomics.
 *
 * lane.py is the specification, layout.py the layout; the tests drive the one
 * implementation with the other. What is shared between processes is touched
 * only through atomics, except payloads, which their commit word publishes.
 * All methods hold the GIL, which is their lock; what runs without it says so.
 */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the layout is little-endian"
#endif
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "words are shared between processes");
_Static_assert(sizeof(_Atomic uint64_t) == 8, "words are 8 bytes");

typedef _Atomic uint64_t word;

/* As in layout.py. */
enum {
    HEADER_BYTES = 64,
    HEADER_WORDS = 8,
    WORD_MARK = 7,
    MARK_CANCELLED = 1,
    PAD = 1,
    SLAB = 1,
    LANE_RETIRED = 0,
    LANE_WAITING = 8,
    LANE_CONTROL_WORDS = 16,
    BELL_SLEEPING = 0,
    ANY_SLEEP = 1,
    BELL_CORE = 1,
    BELL_WORDS = 2, /* that are used here */
    RETIRE_EVERY = 64, /* as in lane.py */
};

static inline uint64_t load(word *at) { return atomic_load_explicit(at, memory_order_acquire); }

static inline void store(word *at, uint64_t value)
{
    atomic_store_explicit(at, value, memory_order_release);
}

static inline void fence(void) { atomic_thread_fence(memory_order_seq_cst); }

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The number that a record carries for the core it was written on; 0: not known. */
static inline uint64_t this_core(void) { return (uint64_t)(sched_getcpu() + 1) & 0xFFFF; }

typedef struct {
    PyTypeObject *memory_type;
    PyTypeObject *reader_type;
    PyObject *corrupt_lane_error;
    PyObject *on_record; /* the name, interned */
} State;

/* No type here can be subclassed, so an object's type knows its module. */
static State *state_of(void *self) { return PyType_GetModuleState(Py_TYPE(self)); }

static int corrupt(void *self, uint64_t position, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    PyObject *what = PyUnicode_FromFormatV(format, arguments);
    va_end(arguments);
    PyObject *type = state_of(self)->corrupt_lane_error;
    PyObject *error =
        what ? PyObject_CallFunction(type, "KO", (unsigned long long)position, what) : NULL;
    if (error)
        PyErr_SetObject(type, error);
    Py_XDECREF(error);
    Py_XDECREF(what);
    return -1;
}

static int as_u64(PyObject *object, uint64_t *value)
{
    *value = PyLong_AsUnsignedLongLong(object);
    return *value == UINT64_MAX && PyErr_Occurred() ? -1 : 0;
}

/* A field of a header narrower than a word. */
static int as_field(PyObject *object, int bits, uint64_t *value)
{
    if (as_u64(object, value))
        return -1;
    if (*value >> bits) {
        PyErr_Format(PyExc_OverflowError, "%R does not fit in %d bits", object, bits);
        return -1;
    }
    return 0;
}

static int as_position(PyObject *object, uint64_t *value)
{
    if (as_u64(object, value))
        return -1;
    if (*value & 7) {
        PyErr_Format(PyExc_ValueError, "a position is a multiple of 8, not %R", object);
        return -1;
    }
    return 0;
}

static int arity(Py_ssize_t given, Py_ssize_t wanted)
{
    if (given == wanted)
        return 0;
    PyErr_Format(PyExc_TypeError, "%zd arguments are needed, %zd given", wanted, given);
    return -1;
}

static void dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* A buffer of words, aligned, to be written. */
static int get_words(PyObject *object, Py_buffer *buffer)
{
    if (PyObject_GetBuffer(object, buffer, PyBUF_WRITABLE))
        return -1;
    if ((uintptr_t)buffer->buf % alignof(word)) {
        PyBuffer_Release(buffer);
        PyErr_SetString(PyExc_ValueError, "the memory is not aligned to 8 bytes");
        return -1;
    }
    return 0;
}

/* ---- LaneMemory ------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    Py_buffer control_buffer, ring_buffer;
    word *control; /* this lane's control words */
    word *ring;
    uint64_t size, mask; /* in bytes */
} Memory;

static PyObject *memory_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *control, *ring;
    Py_ssize_t base;
    static char *names[] = {"segment_words", "ring", "control_base", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOn:LaneMemory", names, &control, &ring, &base))
        return NULL;
    Memory *self = (Memory *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    if (get_words(control, &self->control_buffer) || get_words(ring, &self->ring_buffer))
        goto fail;
    Py_ssize_t size = self->ring_buffer.len;
    if (size < 2 * HEADER_BYTES || size > (Py_ssize_t)1 << 31 || size & (size - 1)) {
        PyErr_Format(PyExc_ValueError,
                     "the size of a ring is a power of two from 128 to 2**31, not %zd", size);
        goto fail;
    }
    if (base < 0 || base > self->control_buffer.len / 8 - LANE_CONTROL_WORDS) {
        PyErr_Format(PyExc_ValueError, "there are no control words at %zd", base);
        goto fail;
    }
    self->control = (word *)self->control_buffer.buf + base;
    self->ring = self->ring_buffer.buf;
    self->size = (uint64_t)size;
    self->mask = self->size - 1;
    return (PyObject *)self;
fail:
    Py_DECREF(self);
    return NULL;
}

static void memory_dealloc(Memory *self)
{
    /* Releasing a buffer that was never taken does nothing. */
    PyBuffer_Release(&self->control_buffer);
    PyBuffer_Release(&self->ring_buffer);
    dealloc((PyObject *)self);
}

static inline word *at_position(Memory *self, uint64_t position)
{
    return self->ring + ((position & self->mask) >> 3);
}

static word *header_word(Memory *self, PyObject *const *args)
{
    uint64_t position, index;
    if (as_position(args[0], &position) || as_u64(args[1], &index))
        return NULL;
    if (index >= HEADER_WORDS || (position & self->mask) + HEADER_BYTES > self->size) {
        PyErr_Format(PyExc_IndexError, "no header has a word %R at %R", args[1], args[0]);
        return NULL;
    }
    return at_position(self, position) + index;
}

static PyObject *memory_stamp(Memory *self, PyObject *const *args, Py_ssize_t count)
{
    uint64_t value;
    if (arity(count, 3) || as_u64(args[2], &value))
        return NULL;
    word *at = header_word(self, args);
    if (!at)
        return NULL;
    store(at, value);
    Py_RETURN_NONE;
}

static PyObject *memory_peek(Memory *self, PyObject *const *args, Py_ssize_t count)
{
    if (arity(count, 2))
        return NULL;
    word *at = header_word(self, args);
    return at ? PyLong_FromUnsignedLongLong(load(at)) : NULL;
}

static PyObject *memory_get_retired(Memory *self, void *unused)
{
    return PyLong_FromUnsignedLongLong(load(self->control + LANE_RETIRED));
}

static PyObject *memory_get_size(Memory *self, void *unused)
{
    return PyLong_FromUnsignedLongLong(self->size);
}

static PyMethodDef memory_methods[] = {
    {"stamp", (PyCFunction)(void *)memory_stamp, METH_FASTCALL, NULL},
    {"peek", (PyCFunction)(void *)memory_peek, METH_FASTCALL, NULL},
    {0},
};
static PyGetSetDef memory_getset[] = {
    {"retired", (getter)memory_get_retired, NULL, NULL, NULL},
    {"size_bytes", (getter)memory_get_size, NULL, NULL, NULL},
    {0},
};
static PyType_Slot memory_slots[] = {
    {Py_tp_new, memory_new},         {Py_tp_dealloc, memory_dealloc},
    {Py_tp_methods, memory_methods}, {Py_tp_getset, memory_getset},
    {0},
};
static PyType_Spec memory_spec = {
    .name = "noodle_host.router._lane.LaneMemory",
    .basicsize = sizeof(Memory),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = memory_slots,
};

/* A bell's descriptor, -1 if it is closed, -2 for an error. Only the object knows,
 * and while the GIL is held it stays true. */
static int descriptor(PyObject *bell)
{
    PyObject *fd = PyObject_GetAttrString(bell, "fd");
    if (!fd)
        return -2;
    long number = PyLong_AsLong(fd);
    Py_DECREF(fd);
    if (number == -1 && PyErr_Occurred())
        return -2;
    return number < 0 || number > INT_MAX ? -1 : (int)number;
}

/* Both ends begin alike. */
typedef struct {
    PyObject_HEAD
    Memory *memory;
    PyObject *peer; /* the bell of the other end, or None */
    Py_buffer peer_buffer;
    word *peer_words; /* NULL: no peer */
    uint64_t rung;    /* the peer's sleep that was ended last */
} End;

static int end_init(End *self, PyObject *memory, PyObject *peer)
{
    if (Py_TYPE(memory) != state_of(self)->memory_type) {
        PyErr_Format(PyExc_TypeError, "a native LaneMemory is needed, not %R", memory);
        return -1;
    }
    self->memory = (Memory *)Py_NewRef(memory);
    self->peer = Py_NewRef(peer);
    if (peer == Py_None)
        return 0;
    PyObject *words = PyObject_GetAttrString(peer, "words");
    if (!words)
        return -1;
    int failed = get_words(words, &self->peer_buffer);
    Py_DECREF(words);
    if (failed)
        return -1;
    if (self->peer_buffer.len < 8 * BELL_WORDS) {
        PyErr_SetString(PyExc_ValueError, "a bell has words");
        return -1;
    }
    self->peer_words = self->peer_buffer.buf;
    return 0;
}

static void end_dealloc(End *self)
{
    Py_XDECREF(self->memory);
    Py_XDECREF(self->peer);
    PyBuffer_Release(&self->peer_buffer);
    dealloc((PyObject *)self);
}

/* After a fence: wake the other end if it sleeps. Once a sleep is enough: the
 * sleeper looks at its lanes after it, and what comes later meets another number. */
static int ring_if_asleep(End *self)
{
    uint64_t sleep = self->peer_words ? load(self->peer_words + BELL_SLEEPING) : 0;
    if (!sleep || (sleep == self->rung && sleep != ANY_SLEEP))
        return 0;
    int fd = descriptor(self->peer);
    if (fd == -2)
        return -1;
    /* A full counter (EAGAIN) means that it is rung already. */
    uint64_t one = 1;
    if (fd >= 0 && write(fd, &one, sizeof one) < 0 && errno != EAGAIN) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    self->rung = sleep;
    return 0;
}

/* ---- LaneReader ------------------------------------------------------- */

typedef struct {
    End end;
    uint64_t position;
    uint64_t core; /* the producer's, at the last record */
    uint64_t dispatches;
} Reader;

typedef struct {
    uint64_t position, head, field[HEADER_WORDS], payload_bytes;
    word *at;
} Found;

/* 1: found, and stepped over; 0: nothing there; -1: error set. */
static int reader_next(Reader *self, Found *found)
{
    Memory *memory = self->end.memory;
    uint64_t position = self->position, at = position & memory->mask;
    uint64_t head = load(at_position(memory, position));
    if (!head)
        return 0;
    if ((head >> 32 & 0xFF) == PAD) {
        if (at == 0 || (head & UINT32_MAX) != memory->size - at)
            return corrupt(self, position, "a pad does not reach the end of the ring");
        position += memory->size - at;
        at = 0;
        head = load(memory->ring);
        if (!head)
            return corrupt(self, position, "a pad leads to no record");
    }
    uint64_t length = head & UINT32_MAX;
    if (length & 7 || length < HEADER_BYTES || length > memory->size - at)
        return corrupt(self, position, "a record of %llu bytes does not fit",
                       (unsigned long long)length);
    word *words = at_position(memory, position);
    for (int i = 1; i < HEADER_WORDS; i++)
        found->field[i] = atomic_load_explicit(words + i, memory_order_relaxed);
    uint64_t payload_bytes = found->field[2] >> 32;
    if (payload_bytes > length - HEADER_BYTES)
        return corrupt(self, position, "a record of %llu bytes holds %llu",
                       (unsigned long long)length, (unsigned long long)payload_bytes);
    found->position = position;
    found->head = head;
    found->payload_bytes = payload_bytes;
    found->at = words;
    self->position = position + length;
    self->core = head >> 48;
    return 1;
}

static PyObject *payload(Found *found)
{
    return PyBytes_FromStringAndSize((const char *)found->at + HEADER_BYTES,
                                     (Py_ssize_t)found->payload_bytes);
}

static PyObject *record(Found *found)
{
    uint64_t *field = found->field;
    uint64_t numbers[11] = {
        found->position,
        found->head >> 32 & 0xFF,
        found->head >> 40 & 0xFF,
        found->head >> 48,
        field[1],
        field[2] & UINT32_MAX,
        field[3],
        field[4],
        field[5],
        field[6],
        field[7],
    };
    PyObject *tuple = PyTuple_New(12);
    if (!tuple)
        return NULL;
    for (int i = 0; i < 11; i++) {
        PyObject *number = PyLong_FromUnsignedLongLong(numbers[i]);
        if (!number)
            goto fail;
        PyTuple_SET_ITEM(tuple, i, number);
    }
    PyObject *body = payload(found);
    if (!body)
        goto fail;
    PyTuple_SET_ITEM(tuple, 11, body);
    return tuple;
fail:
    Py_DECREF(tuple);
    return NULL;
}

static PyObject *reader_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *memory, *position = Py_None, *peer = Py_None;
    static char *names[] = {"memory", "position", "peer", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|OO:LaneReader", names, &memory, &position,
                                     &peer))
        return NULL;
    Reader *self = (Reader *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    if (end_init(&self->end, memory, peer))
        goto fail;
    if (position != Py_None) {
        if (as_position(position, &self->position))
            goto fail;
    } else {
        self->position = load(self->end.memory->control + LANE_RETIRED);
        if (self->position & 7) {
            corrupt(self, self->position, "the retired position is not a multiple of 8");
            goto fail;
        }
    }
    return (PyObject *)self;
fail:
    Py_DECREF(self);
    return NULL;
}

static PyObject *reader_has_record(Reader *self, PyObject *unused)
{
    return PyBool_FromLong(load(at_position(self->end.memory, self->position)) != 0);
}

static PyObject *reader_read(Reader *self, PyObject *unused)
{
    Found found;
    uint64_t before = self->position;
    switch (reader_next(self, &found)) {
    case 0:
        Py_RETURN_NONE;
    case 1: {
        PyObject *result = record(&found);
        if (!result)
            self->position = before;
        return result;
    }
    default:
        return NULL;
    }
}

static PyObject *reader_skip_all(Reader *self, PyObject *unused)
{
    Found found;
    uint64_t start = self->position;
    int more;
    while ((more = reader_next(self, &found)) == 1)
        if (self->position - start > self->end.memory->size) {
            corrupt(self, start, "the ring is full of records");
            return NULL;
        }
    return more < 0 ? NULL : PyLong_FromUnsignedLongLong(self->position);
}

static int retire(Reader *self, uint64_t position)
{
    word *control = self->end.memory->control;
    store(control + LANE_RETIRED, position);
    fence();
    return load(control + LANE_WAITING) ? ring_if_asleep(&self->end) : 0;
}

static PyObject *reader_retire(Reader *self, PyObject *arg)
{
    uint64_t position;
    if (as_position(arg, &position) || retire(self, position))
        return NULL;
    Py_RETURN_NONE;
}

/* 1: the taker is done; 0: it is not; -1: error set. */
static int hand_over(PyObject *taker, Found *found, State *state)
{
    PyObject *position = PyLong_FromUnsignedLongLong(found->position);
    PyObject *kind = PyLong_FromUnsignedLongLong(found->head >> 32 & 0xFF);
    PyObject *body = payload(found);
    PyObject *done = NULL;
    if (position && kind && body) {
        PyObject *args[4] = {taker, position, kind, body};
        done = PyObject_VectorcallMethod(state->on_record, args, 4, NULL);
    }
    int result = done ? PyObject_IsTrue(done) : -1;
    Py_XDECREF(position);
    Py_XDECREF(kind);
    Py_XDECREF(body);
    Py_XDECREF(done);
    return result;
}

static int dispatch_one(Reader *self, PyObject *takers, PyObject *other, Found *found)
{
    State *state = state_of(self);
    if (found->head >> 40 & SLAB) {
        PyObject *tuple = record(found);
        PyObject *result = tuple ? PyObject_CallOneArg(other, tuple) : NULL;
        Py_XDECREF(tuple);
        Py_XDECREF(result);
        return result ? 0 : -1;
    }
    PyObject *call_id = PyLong_FromUnsignedLongLong(found->field[1]);
    PyObject *taker = call_id ? PyDict_GetItemWithError(takers, call_id) : NULL;
    int result = PyErr_Occurred() ? -1 : 0;
    if (taker) {
        Py_INCREF(taker);
        result = hand_over(taker, found, state);
        /* It may be gone: what it called may have taken it out. */
        if (result == 1) {
            PyObject *known = PyDict_GetItemWithError(takers, call_id);
            result = known ? PyDict_DelItem(takers, call_id) : PyErr_Occurred() ? -1 : 0;
        }
        Py_DECREF(taker);
    }
    Py_XDECREF(call_id);
    return result;
}

static PyObject *reader_dispatch(Reader *self, PyObject *const *args, Py_ssize_t count)
{
    uint64_t most;
    if (arity(count, 3) || as_u64(args[2], &most))
        return NULL;
    if (!PyDict_Check(args[0])) {
        PyErr_Format(PyExc_TypeError, "a dict of takers is needed, not %R", args[0]);
        return NULL;
    }
    Found found;
    uint64_t handled = 0, this = ++self->dispatches;
    int more = 1;
    while (handled < most && (more = reader_next(self, &found)) == 1) {
        if (dispatch_one(self, args[0], args[1], &found)) {
            /* Again the next time. But what it called may have read on. */
            if (self->dispatches == this)
                self->position = found.position;
            return NULL;
        }
        if (++handled % RETIRE_EVERY == 0 && retire(self, self->position))
            return NULL;
    }
    if (more < 0 || (handled % RETIRE_EVERY && retire(self, self->position)))
        return NULL;
    return PyLong_FromUnsignedLongLong(handled);
}

static PyObject *end_get_memory(End *self, void *unused) { return Py_NewRef(self->memory); }

static PyObject *reader_get_position(Reader *self, void *unused)
{
    return PyLong_FromUnsignedLongLong(self->position);
}

static int reader_set_position(Reader *self, PyObject *value, void *unused)
{
    if (value)
        return as_position(value, &self->position);
    PyErr_SetString(PyExc_AttributeError, "a reader has a position");
    return -1;
}

static PyMethodDef reader_methods[] = {
    {"has_record", (PyCFunction)reader_has_record, METH_NOARGS, NULL},
    {"read", (PyCFunction)reader_read, METH_NOARGS, NULL},
    {"skip_all", (PyCFunction)reader_skip_all, METH_NOARGS, NULL},
    {"retire", (PyCFunction)reader_retire, METH_O, NULL},
    {"dispatch", (PyCFunction)(void *)reader_dispatch, METH_FASTCALL, NULL},
    {0},
};
static PyGetSetDef reader_getset[] = {
    {"memory", (getter)end_get_memory, NULL, NULL, NULL},
    {"position", (getter)reader_get_position, (setter)reader_set_position, NULL, NULL},
    {0},
};
static PyType_Slot reader_slots[] = {
    {Py_tp_new, reader_new},         {Py_tp_dealloc, end_dealloc},
    {Py_tp_methods, reader_methods}, {Py_tp_getset, reader_getset},
    {0},
};
static PyType_Spec reader_spec = {
    .name = "noodle_host.router._lane.LaneReader",
    .basicsize = sizeof(Reader),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = reader_slots,
};

/* ---- LaneWriter ------------------------------------------------------- */

typedef struct {
    End end;
    uint64_t tail;
    uint64_t retired; /* as last seen */
} Writer;

static PyObject *writer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *memory, *peer = Py_None, *position = Py_None;
    static char *names[] = {"memory", "peer", "position", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|OO:LaneWriter", names, &memory, &peer,
                                     &position))
        return NULL;
    Writer *self = (Writer *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    if (end_init(&self->end, memory, peer))
        goto fail;
    /* A successor finds the end by walking over what is committed. */
    PyObject *walker = PyObject_CallFunctionObjArgs((PyObject *)state_of(self)->reader_type, memory,
                                                    position, NULL);
    if (!walker)
        goto fail;
    self->retired = load(self->end.memory->control + LANE_RETIRED);
    PyObject *tail = reader_skip_all((Reader *)walker, NULL);
    self->tail = ((Reader *)walker)->position;
    Py_DECREF(walker);
    if (!tail)
        goto fail;
    Py_DECREF(tail);
    return (PyObject *)self;
fail:
    Py_DECREF(self);
    return NULL;
}

/* 8 more than the total: the word behind the record is cleared too. */
static int fits(Writer *self, uint64_t total)
{
    Memory *memory = self->end.memory;
    if (total + 8 > memory->size)
        return 0;
    uint64_t most = memory->size - total - 8;
    if (self->tail - self->retired <= most)
        return 1;
    self->retired = load(memory->control + LANE_RETIRED);
    /* A retired position beyond the tail is nonsense: no room, then. */
    return self->tail - self->retired <= most;
}

static uint64_t record_bytes(uint64_t payload_bytes)
{
    return (HEADER_BYTES + payload_bytes + 7) & ~(uint64_t)7;
}

/* The position of the new record, or UINT64_MAX for no room. */
static uint64_t append(Writer *self, const uint64_t *field, uint64_t head, const void *payload,
                       uint64_t payload_bytes)
{
    Memory *memory = self->end.memory;
    if (payload_bytes > memory->size)
        return UINT64_MAX;
    uint64_t need = record_bytes(payload_bytes), at = self->tail & memory->mask;
    uint64_t pad = at + need > memory->size ? memory->size - at : 0;
    if (!fits(self, pad + need))
        return UINT64_MAX;
    uint64_t position = self->tail + pad;
    word *words = at_position(memory, position);
    for (int i = 1; i < HEADER_WORDS; i++)
        atomic_store_explicit(words + i, field[i], memory_order_relaxed);
    if (payload_bytes)
        memcpy((char *)words + HEADER_BYTES, payload, payload_bytes);
    atomic_store_explicit(at_position(memory, position + need), 0, memory_order_relaxed);
    store(words, need | head | this_core() << 48);
    if (pad)
        /* After the record that it leads to: a pad opens the way to the start
         * of the ring, where an old record may still stand. */
        store(at_position(memory, self->tail), pad | (uint64_t)PAD << 32);
    self->tail = position + need;
    return position;
}

static PyObject *writer_publish(Writer *self, PyObject *const *args, Py_ssize_t count)
{
    uint64_t kind, flags, method, field[HEADER_WORDS] = {0};
    if (arity(count, 7) || as_field(args[0], 8, &kind) || as_field(args[1], 8, &flags) ||
        as_u64(args[2], &field[1]) || as_field(args[3], 32, &method) ||
        as_u64(args[4], &field[3]) || as_u64(args[5], &field[4]))
        return NULL;
    Py_buffer payload;
    if (PyObject_GetBuffer(args[6], &payload, PyBUF_SIMPLE))
        return NULL;
    field[2] = method | (uint64_t)payload.len << 32;
    uint64_t position =
        append(self, field, kind << 32 | flags << 40, payload.buf, (uint64_t)payload.len);
    PyBuffer_Release(&payload);
    if (position == UINT64_MAX)
        return PyLong_FromLong(-1);
    fence();
    if (ring_if_asleep(&self->end))
        return NULL;
    return PyLong_FromUnsignedLongLong(position);
}

static PyObject *writer_has_room(Writer *self, PyObject *arg)
{
    uint64_t payload_bytes;
    if (as_u64(arg, &payload_bytes))
        return NULL;
    /* Wherever it falls: a pad is smaller than the record that needs it. */
    return PyBool_FromLong(payload_bytes <= self->end.memory->size &&
                           fits(self, 2 * record_bytes(payload_bytes)));
}

static PyObject *writer_is_unretired(Writer *self, PyObject *arg)
{
    uint64_t position;
    if (as_u64(arg, &position))
        return NULL;
    return PyBool_FromLong(position >= load(self->end.memory->control + LANE_RETIRED));
}

static PyObject *writer_take_back(Writer *self, PyObject *arg)
{
    Memory *memory = self->end.memory;
    uint64_t position;
    if (as_position(arg, &position))
        return NULL;
    /* Nothing is published in between: the GIL is held. */
    if (position < load(memory->control + LANE_RETIRED) || position >= self->tail)
        Py_RETURN_FALSE;
    store(at_position(memory, position) + WORD_MARK, MARK_CANCELLED);
    Py_RETURN_TRUE;
}

static PyObject *writer_set_waiting(Writer *self, PyObject *arg)
{
    int waiting = PyObject_IsTrue(arg);
    if (waiting < 0)
        return NULL;
    store(self->end.memory->control + LANE_WAITING, (uint64_t)waiting);
    Py_RETURN_NONE;
}

static PyObject *writer_get_tail(Writer *self, void *unused)
{
    return PyLong_FromUnsignedLongLong(self->tail);
}

static PyMethodDef writer_methods[] = {
    {"publish", (PyCFunction)(void *)writer_publish, METH_FASTCALL, NULL},
    {"has_room", (PyCFunction)writer_has_room, METH_O, NULL},
    {"is_unretired", (PyCFunction)writer_is_unretired, METH_O, NULL},
    {"take_back", (PyCFunction)writer_take_back, METH_O, NULL},
    {"set_waiting", (PyCFunction)writer_set_waiting, METH_O, NULL},
    {0},
};
static PyGetSetDef writer_getset[] = {
    {"memory", (getter)end_get_memory, NULL, NULL, NULL},
    {"tail", (getter)writer_get_tail, NULL, NULL, NULL},
    {0},
};
static PyType_Slot writer_slots[] = {
    {Py_tp_new, writer_new},         {Py_tp_dealloc, end_dealloc},
    {Py_tp_methods, writer_methods}, {Py_tp_getset, writer_getset},
    {0},
};
static PyType_Spec writer_spec = {
    .name = "noodle_host.router._lane.LaneWriter",
    .basicsize = sizeof(Writer),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = writer_slots,
};

/* ---- Sleeper ---------------------------------------------------------- */

/* In ns. A wake-up costs about as much as the longest spin, so spinning longer
 * never pays. */
enum {
    MAX_SPIN = 50000,
    MIN_SPIN = 12000,
    /* Spinning with the GIL held stops all other threads. */
    MAX_HOLD = 20000,
    /* Whoever lets go of a GIL that others want gets it back after 5 ms. */
    CONTENDED_SPIN = 100000,
    CONTENDED = 500000,
    /* Every so many waits one spin finds out whether it pays again. It is longer,
     * because the peer may have to wake up first. */
    PROBE_EVERY = 16,
    PROBE_SPIN = 100000,
    /* What comes this late to a wait that was not in the middle of an exchange has
     * woken the peer first. The two might as well sleep, and share a core. */
    LATE = 15000,
    EXCHANGE = 100000,
    /* Two that answer each other at once, on one core, should not share it. */
    PART_AFTER = 8,
    PART_AFTER_MOST = 512,
    PROBES_AFTER_PARTING = 16,
    MOST_WATCHED = 64,
    MOST_FDS = 4,
};

typedef struct {
    PyObject_HEAD
    PyObject *bell;
    Py_buffer buffer;
    word *words;
    int other_fds[MOST_FDS - 1];
    int others;
    int one_core;
    int contended; /* the GIL came back late the last time */
    int was_elsewhere; /* the peer, at the last wait */
    unsigned misses, short_sleeps, probes, part_after;
    int64_t budget;
    int64_t woke; /* when the last wait ended */
} Sleeper;

static PyObject *sleeper_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Py_ssize_t count = PyTuple_GET_SIZE(args);
    if (count < 1 || count > MOST_FDS || (kwargs && PyDict_GET_SIZE(kwargs))) {
        PyErr_Format(PyExc_TypeError, "a bell and up to %d descriptors are needed", MOST_FDS - 1);
        return NULL;
    }
    Sleeper *self = (Sleeper *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->bell = Py_NewRef(PyTuple_GET_ITEM(args, 0));
    PyObject *words = PyObject_GetAttrString(self->bell, "words");
    if (!words)
        goto fail;
    int failed = get_words(words, &self->buffer);
    Py_DECREF(words);
    if (failed)
        goto fail;
    if (self->buffer.len < 8 * BELL_WORDS) {
        PyErr_SetString(PyExc_ValueError, "a bell has words");
        goto fail;
    }
    self->words = self->buffer.buf;
    for (; self->others < count - 1; self->others++) {
        int fd = PyObject_AsFileDescriptor(PyTuple_GET_ITEM(args, self->others + 1));
        if (fd < 0)
            goto fail;
        self->other_fds[self->others] = fd;
    }
    cpu_set_t cores;
    /* On one core the peer cannot run while we spin. */
    self->one_core = !sched_getaffinity(0, sizeof cores, &cores) && CPU_COUNT(&cores) < 2;
    self->budget = MAX_SPIN;
    self->part_after = PART_AFTER;
    return (PyObject *)self;
fail:
    Py_DECREF(self);
    return NULL;
}

static void sleeper_dealloc(Sleeper *self)
{
    Py_XDECREF(self->bell);
    PyBuffer_Release(&self->buffer);
    dealloc((PyObject *)self);
}

/* Needs no GIL. */
static int spin_until(word *const *words, int count, int64_t until)
{
    do {
        for (int look = 0; look < 8; look++) {
            for (int i = 0; i < count; i++)
                if (load(words[i]))
                    return 1;
            relax();
        }
    } while (now_ns() < until);
    return 0;
}

static void take_gil(Sleeper *self, PyThreadState *thread)
{
    int64_t before = now_ns();
    PyEval_RestoreThread(thread);
    self->contended = now_ns() - before > CONTENDED;
}

static uint64_t note_core(Sleeper *self)
{
    uint64_t core = this_core();
    /* Peers read the line for every message: written only when it changes. */
    if (load(self->words + BELL_CORE) != core)
        store(self->words + BELL_CORE, core);
    return core;
}

/* Whether fewer threads want to run than there are cores: this one, its peer, and
 * others. One look costs as much as waking somebody up. */
static int has_idle_core(int cores)
{
    char text[64] = "";
    FILE *file = fopen("/proc/loadavg", "re");
    if (!file)
        return 0;
    int running = cores + 1;
    if (fgets(text, sizeof text, file) && sscanf(text, "%*s %*s %*s %d/", &running) != 1)
        running = cores + 1;
    fclose(file);
    return running <= cores;
}

/* The scheduler keeps two that wake each other on one core, and leaves another one
 * idle; both then sleep for every message, which costs several times the message.
 * Move this thread; its affinity is as before afterwards. */
static int leave_core(Sleeper *self)
{
    cpu_set_t allowed, others;
    int core = sched_getcpu();
    if (core < 0 || sched_getaffinity(0, sizeof allowed, &allowed) ||
        !has_idle_core(CPU_COUNT(&allowed)))
        return 0;
    others = allowed;
    CPU_CLR(core, &others);
    if (!CPU_COUNT(&others))
        return 0;
    /* Moving takes longer than a reply: the peer must not fall asleep before. */
    store(self->words + BELL_CORE, 0);
    if (!sched_setaffinity(0, sizeof others, &others))
        sched_setaffinity(0, sizeof allowed, &allowed);
    note_core(self);
    return sched_getcpu() != core;
}

static PyObject *sleeper_spin(Sleeper *self, PyObject *arg)
{
    PyTypeObject *reader_type = state_of(self)->reader_type;
    PyObject *readers = PySequence_Fast(arg, "the readers to watch are needed");
    if (!readers)
        return NULL;
    word *words[MOST_WATCHED];
    int count = 0, elsewhere = 0;
    uint64_t core = note_core(self);
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(readers); i++) {
        Reader *reader = (Reader *)PySequence_Fast_GET_ITEM(readers, i);
        if (Py_TYPE(reader) != reader_type) {
            PyErr_Format(PyExc_TypeError, "a native LaneReader is needed, not %R", reader);
            Py_DECREF(readers);
            return NULL;
        }
        word *at = at_position(reader->end.memory, reader->position);
        if (load(at)) {
            Py_DECREF(readers);
            Py_RETURN_TRUE;
        }
        word *peer = reader->end.peer_words;
        elsewhere |= (peer ? load(peer + BELL_CORE) : reader->core) != core;
        if (count < MOST_WATCHED)
            words[count++] = at;
    }
    if (count && !elsewhere && self->short_sleeps >= self->part_after) {
        self->short_sleeps = 0;
        elsewhere = leave_core(self);
        /* Looking costs something; a machine that is busy now will be so for a while. */
        self->part_after = elsewhere ? PART_AFTER : self->part_after * 2;
        if (self->part_after > PART_AFTER_MOST)
            self->part_after = PART_AFTER_MOST;
    }
    if (elsewhere && !self->was_elsewhere)
        /* It, or this thread, has to get going there first. */
        self->probes = PROBES_AFTER_PARTING;
    self->was_elsewhere = elsewhere;
    int found = 0;
    int64_t budget = self->contended ? CONTENDED_SPIN : self->budget;
    if (self->probes) {
        self->probes--;
        budget = PROBE_SPIN;
    } else if (!budget && ++self->misses % PROBE_EVERY == 0)
        budget = PROBE_SPIN;
    /* A peer that last ran on this core cannot run while we spin. */
    if (budget && elsewhere && !self->one_core) {
        int64_t start = now_ns(), hold = budget;
        if (!self->contended && hold > MAX_HOLD)
            hold = MAX_HOLD;
        found = spin_until(words, count, start + hold);
        if (!found && hold < budget) {
            PyThreadState *thread = PyEval_SaveThread();
            found = spin_until(words, count, start + budget);
            take_gil(self, thread);
        }
        int64_t end = now_ns();
        if (found && (end - start < LATE || start - self->woke < EXCHANGE))
            self->budget = MAX_SPIN;
        else
            self->budget = self->budget / 2 >= MIN_SPIN ? self->budget / 2 : 0;
        if (found)
            self->woke = end;
    }
    /* The words are in the readers' memory. */
    Py_DECREF(readers);
    return PyBool_FromLong(found);
}

enum { RUNG = 1, OTHER = 2 };

/* What is ready; -1: error set. */
static int block(Sleeper *self, double timeout_s)
{
    struct pollfd polled[MOST_FDS] = {{.fd = descriptor(self->bell), .events = POLLIN}};
    if (polled[0].fd == -2)
        return -1;
    for (int i = 0; i < self->others; i++)
        polled[i + 1] = (struct pollfd){.fd = self->other_fds[i], .events = POLLIN};
    timeout_s = timeout_s > 0 ? timeout_s < 3600 ? timeout_s : 3600 : 0;
    int64_t ns = (int64_t)(timeout_s * 1e9);
    struct timespec timeout = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    /* A signal that came before would not end the sleep. */
    if (PyErr_CheckSignals())
        return -1;
    PyThreadState *thread = PyEval_SaveThread();
    int ready = ppoll(polled, (nfds_t)self->others + 1, &timeout, NULL), error = errno;
    take_gil(self, thread);
    if (ready < 0 && error == EINTR)
        return PyErr_CheckSignals() ? -1 : 0;
    if (ready < 0) {
        errno = error;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    int result = polled[0].revents & POLLIN ? RUNG : 0;
    for (int i = 0; i < self->others; i++)
        if (polled[i + 1].revents)
            result |= OTHER;
    return result;
}

/* Take the rings so far. What rings from here on ends the next sleep. */
static int drain(Sleeper *self)
{
    int fd = descriptor(self->bell);
    uint64_t rings;
    if (fd >= 0 && read(fd, &rings, sizeof rings) < 0 && errno != EAGAIN) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return fd == -2 ? -1 : 0;
}

static PyObject *sleeper_sleep(Sleeper *self, PyObject *const *args, Py_ssize_t count)
{
    if (arity(count, 2))
        return NULL;
    double timeout_s = PyFloat_AsDouble(args[1]);
    if (timeout_s == -1 && PyErr_Occurred())
        return NULL;
    int64_t start = now_ns();
    store(self->words + BELL_SLEEPING, (uint64_t)start);
    fence();
    int found = -1;
    PyObject *mail = PyObject_CallNoArgs(args[0]);
    if (mail) {
        int ready = PyObject_IsTrue(mail);
        Py_DECREF(mail);
        found = ready ? (ready < 0 ? -1 : 0) : block(self, timeout_s);
    }
    store(self->words + BELL_SLEEPING, 0);
    if (found < 0 || (found & RUNG && drain(self)))
        return NULL;
    int64_t end = now_ns();
    int in_exchange = start - self->woke < EXCHANGE && end - start < EXCHANGE;
    self->short_sleeps = in_exchange ? self->short_sleeps + 1 : 0;
    if (!in_exchange)
        self->part_after = PART_AFTER;
    self->woke = end;
    note_core(self);
    return PyBool_FromLong(found & OTHER);
}

static PyObject *sleeper_get_bell(Sleeper *self, void *unused) { return Py_NewRef(self->bell); }

static PyMethodDef sleeper_methods[] = {
    {"spin", (PyCFunction)sleeper_spin, METH_O, NULL},
    {"sleep", (PyCFunction)(void *)sleeper_sleep, METH_FASTCALL, NULL},
    {0},
};
static PyGetSetDef sleeper_getset[] = {
    {"bell", (getter)sleeper_get_bell, NULL, NULL, NULL},
    {0},
};
static PyType_Slot sleeper_slots[] = {
    {Py_tp_new, sleeper_new},         {Py_tp_dealloc, sleeper_dealloc},
    {Py_tp_methods, sleeper_methods}, {Py_tp_getset, sleeper_getset},
    {0},
};
static PyType_Spec sleeper_spec = {
    .name = "noodle_host.router._lane.Sleeper",
    .basicsize = sizeof(Sleeper),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = sleeper_slots,
};

/* ---- the module ------------------------------------------------------- */

static PyObject *module_fence(PyObject *module, PyObject *unused)
{
    fence();
    Py_RETURN_NONE;
}

static int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **kept)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    if (!type)
        return -1;
    int failed = PyModule_AddType(module, type);
    if (kept)
        *kept = type;
    else
        Py_DECREF(type);
    return failed;
}

static int module_exec(PyObject *module)
{
    State *state = PyModule_GetState(module);
    PyObject *specification = PyImport_ImportModule("noodle_host.router.lane");
    if (!specification)
        return -1;
    state->corrupt_lane_error = PyObject_GetAttrString(specification, "CorruptLaneError");
    Py_DECREF(specification);
    state->on_record = PyUnicode_InternFromString("on_record");
    if (!state->on_record || !state->corrupt_lane_error || add_type(module, &memory_spec, &state->memory_type) ||
        add_type(module, &reader_spec, &state->reader_type) ||
        add_type(module, &writer_spec, NULL) || add_type(module, &sleeper_spec, NULL))
        return -1;
    return 0;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);
    Py_VISIT(state->memory_type);
    Py_VISIT(state->reader_type);
    Py_VISIT(state->corrupt_lane_error);
    return 0;
}

static int module_clear(PyObject *module)
{
    State *state = PyModule_GetState(module);
    Py_CLEAR(state->memory_type);
    Py_CLEAR(state->reader_type);
    Py_CLEAR(state->corrupt_lane_error);
    Py_CLEAR(state->on_record);
    return 0;
}

static void module_free(void *module) { module_clear(module); }

static PyMethodDef module_methods[] = {
    {"fence", module_fence, METH_NOARGS, NULL},
    {0},
};
static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0},
};
static PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "noodle_host.router._lane",
    .m_size = sizeof(State),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__lane(void) { return PyModuleDef_Init(&module_def); }
