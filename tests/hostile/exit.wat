;; Ends the process, or what it takes for one.
;;@imports
  (import "wasi:cli/exit@0.2.0" "exit" (func $exit (param i32)))
;;@map-batch
    (call $exit (i32.const 1))
