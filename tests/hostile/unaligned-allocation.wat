;; Takes what the host passes in at an odd address.
;;@realloc
    (return (i32.const 65537))
