noinst_HEADERS += include/base.h include/lane.h include/errors.h include/api_enums.h include/api_strings.h
