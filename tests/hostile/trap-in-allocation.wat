;; Gives up when it is to take what the host passes in.
;;@realloc
    unreachable
