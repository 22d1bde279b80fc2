// A plugin of qemu-user 7.2 (plugin API 1) that counts the instructions which a program executes between its own marks.
//
// The program makes the marks with two system calls that Linux does not have. A real machine refuses them (ENOSYS), so
// that the program runs there as well:
//     syscall(0x5a00, tag)    begins the region `tag`
//     syscall(0x5a01)         ends it
//
// usage: qemu-aarch64 -plugin THIS.so,out=FILE[,text=on] PROGRAM
//
// At the end of each region these lines are added to FILE:
//     region TAG
//     block ADDRESS LENGTH EXECUTIONS     LENGTH instructions from ADDRESS (hexadecimal) on, and how often in the region
//     code ADDRESS TEXT                   with text=on: the instructions of a block, the first time that it is written
//     end
// qemu translates code in blocks that have one entry: each is executed as a whole, and adds one to its own counter. A
// block that a fault leaves in its middle is counted as a whole. Threads add to the same counters without a lock: a
// region is exact when one thread alone works in it.

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What is used of qemu's plugin API. Debian 12 has no package with its header.
#define EXPORT __attribute__((visibility("default")))
enum { API = 1, ADD = 0 };
enum { BEGIN = 0x5a00, END = 0x5a01 };
typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;
typedef void on_translation(plugin_id, struct qemu_plugin_tb *);
typedef void on_syscall(plugin_id, unsigned cpu, int64_t number, uint64_t first, uint64_t, uint64_t, uint64_t, uint64_t,
                        uint64_t, uint64_t, uint64_t);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, on_translation *);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, on_syscall *);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int operation, void *counter, uint64_t operand);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
char *qemu_plugin_insn_disas(const struct qemu_plugin_insn *);

struct instruction {
    uint64_t address;
    char *text;
};

struct block {
    struct block *next;
    uint64_t address, length;
    uint64_t executions, before; // since the start; until the region began
    struct instruction *code;    // until it is written; NULL without text=on
};

static struct block *blocks;
static FILE *out;
static bool with_text;

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (!memory) {
        fputs("icount: out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

static struct instruction *disassemble(const struct qemu_plugin_tb *translated, size_t length) {
    struct instruction *code = allocate(length, sizeof *code);
    for (size_t i = 0; i < length; i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(translated, i);
        code[i].address = qemu_plugin_insn_vaddr(instruction);
        code[i].text = qemu_plugin_insn_disas(instruction);
    }
    return code;
}

// qemu translates under a lock. Blocks are never freed: what was translated again is counted anew, beside the old one.
static void translated(plugin_id id, struct qemu_plugin_tb *translation) {
    (void)id;
    struct block *block = allocate(1, sizeof *block);
    block->address = qemu_plugin_tb_vaddr(translation);
    block->length = qemu_plugin_tb_n_insns(translation);
    if (with_text) block->code = disassemble(translation, block->length);
    block->next = blocks;
    blocks = block;
    qemu_plugin_register_vcpu_tb_exec_inline(translation, ADD, &block->executions, 1);
}

static void begin(uint64_t tag) {
    fprintf(out, "region %" PRIu64 "\n", tag);
    for (struct block *block = blocks; block; block = block->next) block->before = block->executions;
}

static void write_code(struct block *block) {
    if (!block->code) return;
    for (uint64_t i = 0; i < block->length; i++)
        fprintf(out, "code %" PRIx64 " %s\n", block->code[i].address, block->code[i].text ? block->code[i].text : "?");
    block->code = NULL;
}

static void end(void) {
    for (struct block *block = blocks; block; block = block->next) {
        uint64_t executions = block->executions - block->before;
        if (!executions) continue;
        fprintf(out, "block %" PRIx64 " %" PRIu64 " %" PRIu64 "\n", block->address, block->length, executions);
        write_code(block);
    }
    fputs("end\n", out);
    fflush(out);
}

static void called(plugin_id id, unsigned cpu, int64_t number, uint64_t first, uint64_t a2, uint64_t a3, uint64_t a4,
                   uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
    (void)id, (void)cpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number == BEGIN) begin(first);
    if (number == END) end();
}

EXPORT int qemu_plugin_version = API;
EXPORT int qemu_plugin_install(plugin_id, const struct qemu_info *, int count, char **arguments);

int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int count, char **arguments) {
    (void)info;
    for (int i = 0; i < count; i++) {
        if (!strncmp(arguments[i], "out=", 4)) out = fopen(arguments[i] + 4, "w");
        if (!strcmp(arguments[i], "text=on")) with_text = true;
    }
    if (!out) {
        fputs("icount: out=FILE is missing or cannot be written\n", stderr);
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
