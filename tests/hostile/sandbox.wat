;; Looks for a way out of the sandbox, and traps if it finds one: a clock that moves, a wait that lasts, a variable, an
;; argument, a folder, a socket, a name's address, a terminal, something to read. Its field holds a random number.
;;@imports
  (import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $now (result i64)))
  (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $subscribe (param i64) (result i32)))
  (import "wasi:clocks/wall-clock@0.2.0" "now" (func $today (param i32)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:io/poll@0.2.0" "poll" (func $poll (param i32 i32 i32)))
  (import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))
  (import "wasi:cli/environment@0.2.0" "get-environment" (func $environment (param i32)))
  (import "wasi:cli/environment@0.2.0" "get-arguments" (func $arguments (param i32)))
  (import "wasi:filesystem/preopens@0.2.0" "get-directories" (func $folders (param i32)))
  (import "wasi:sockets/tcp-create-socket@0.2.0" "create-tcp-socket" (func $socket (param i32 i32)))
  (import "wasi:sockets/udp-create-socket@0.2.0" "create-udp-socket" (func $datagrams (param i32 i32)))
  (import "wasi:sockets/instance-network@0.2.0" "instance-network" (func $network (result i32)))
  (import "wasi:sockets/ip-name-lookup@0.2.0" "resolve-addresses" (func $resolve (param i32 i32 i32 i32)))
  (import "wasi:cli/stdin@0.2.0" "get-stdin" (func $stdin (result i32)))
  (import "wasi:io/streams@0.2.0" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
  (import "wasi:cli/terminal-stdin@0.2.0" "get-terminal-stdin" (func $terminal (param i32)))
;;@module
  (data (i32.const 1136) "localhost")
;;@map-batch
    (block $out
      ;; 292 years, waited for in both ways.
      (call $block (call $subscribe (i64.const 0x7fffffffffffffff)))
      (i32.store (i32.const 1024) (call $subscribe (i64.const 0x7fffffffffffffff)))
      (call $poll (i32.const 1024) (i32.const 1) (i32.const 1032))
      (br_if $out (i64.ne (call $now) (i64.const 0)))
      (call $today (i32.const 1040))
      (br_if $out (i64.ne (i64.load (i32.const 1040)) (i64.const 0)))
      ;; Lists that must be empty: their lengths.
      (call $environment (i32.const 1056))
      (br_if $out (i32.load (i32.const 1060)))
      (call $arguments (i32.const 1056))
      (br_if $out (i32.load (i32.const 1060)))
      (call $folders (i32.const 1056))
      (br_if $out (i32.load (i32.const 1060)))
      (call $terminal (i32.const 1056))
      (br_if $out (i32.load8_u (i32.const 1056)))
      ;; Results that must be errors; the end, where something is read.
      (call $datagrams (i32.const 0) (i32.const 1064))
      (br_if $out (i32.eqz (i32.load8_u (i32.const 1064))))
      (call $resolve (call $network) (i32.const 1136) (i32.const 9) (i32.const 1064))
      (br_if $out (i32.eqz (i32.load8_u (i32.const 1064))))
      (call $read (call $stdin) (i64.const 64) (i32.const 1072))
      (br_if $out (i32.eqz (i32.load8_u (i32.const 1072))))
      (br_if $out (i32.ne (i32.load8_u (i32.const 1076)) (i32.const 1)))
      (call $socket (i32.const 0) (i32.const 1064))
      (br_if $out (i32.eqz (i32.load8_u (i32.const 1064))))
      (i64.store (local.get $values) (call $random))
      (return (i32.const 512)))
    unreachable
