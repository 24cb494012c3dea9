;; Wants a gibibyte before it does anything.
;;@module
  (func $initialise (drop (memory.grow (i32.const 16384))))
  (start $initialise)
