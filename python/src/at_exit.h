// Note [Daemon threads at the end]. Python ends without waiting for daemon threads: from then on, whoever of
// them asks for the GIL has its stack unwound, which C++ makes an abort of - torch's, when it makes or frees
// a tensor. So before Python ends, in an atexit hook, all daemon threads that use loaders are told to stay
// out of Python: each sleeps for good at its next call of the core, or in the one that it is in. The hook
// waits until they do, but for a second at most, since such a thread may be busy with something else for
// long; for the threads of transforms, which do nothing else, as long as it takes. From then on who wants a
// result of a transform makes it itself: its thread may sleep.
//
// Thread contract: everything from any thread; meet_this_thread() and end_threads() with the GIL.
#pragma once

#include <cstdint>

namespace penstock::python::at_exit {

enum class Kind : std::uint8_t { unknown, other, daemon, transform };

// To be called before a thread takes its first batch.
void meet_this_thread();
void meet_transform_thread();
void transform_thread_ends();

// Around what a thread of that kind does without the GIL; does nothing on others. inside() does not return
// when Python is about to end.
void outside(Kind kind) noexcept;
void inside(Kind kind) noexcept;

// The hook has begun.
bool threads_ended();
// The hook. Returns false when a Python signal handler has raised.
bool end_threads(double seconds);
// In a forked child, which has none of these threads.
void forget_threads();

}  // namespace penstock::python::at_exit
