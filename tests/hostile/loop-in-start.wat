;; Never gets past its initialiser.
;;@module
  (func $initialise (loop $forever (br $forever)))
  (start $initialise)
