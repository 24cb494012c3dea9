;; Calls itself until the stack ends, when it is to take what the host passes in.
;;@realloc
    (return (call $allocate (local.get $old) (local.get $old_size) (local.get $align) (local.get $size)))
