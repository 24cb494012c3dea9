;; Calls itself until the stack ends, before it does anything.
;;@module
  (func $initialise (call $initialise) (call $initialise))
  (start $initialise)
