// Threads that wait for work, for Depthwise::run.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace dwca {

/// Runs jobs on the calling thread and `threads` - 1 others, which live as long as this does. One caller at a time.
class Threads {
 public:
  /// Throws std::system_error where there cannot be so many.
  explicit Threads(int threads) {
    try {
      for (int thread = 1; thread < threads; ++thread) workers_.emplace_back([this, thread] { wait(thread); });
    } catch (...) {
      stop();
      throw;
    }
  }

  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  ~Threads() { stop(); }

  /// body(job, thread) for every job below `jobs`. `threads` is what this was made with.
  template <class Body>
  void operator()(int /*threads*/, int jobs, Body&& body) {
    const auto call = [](void* context, int job, int thread) { (*static_cast<Body*>(context))(job, thread); };
    {
      const std::lock_guard lock(mutex_);
      call_ = call;
      context_ = &body;
      jobs_ = jobs;
      next_ = 0;
      busy_ = int(workers_.size());
      ++round_;
    }
    work_.notify_all();
    take_jobs(0);
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
  }

 private:
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    work_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  void wait(int thread) {
    for (unsigned seen = 0;;) {
      {
        std::unique_lock lock(mutex_);
        work_.wait(lock, [&] { return stopped_ || round_ != seen; });
        if (stopped_) return;
        seen = round_;
      }
      take_jobs(thread);
      const std::lock_guard lock(mutex_);
      if (--busy_ == 0) done_.notify_one();
    }
  }

  void take_jobs(int thread) {
    for (int job; (job = next_.fetch_add(1)) < jobs_;) call_(context_, job, thread);
  }

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable work_, done_;
  void (*call_)(void*, int, int) = nullptr;
  void* context_ = nullptr;
  std::atomic<int> next_{0};
  int jobs_ = 0, busy_ = 0;
  unsigned round_ = 0;
  bool stopped_ = false;
};

}  // namespace dwca
